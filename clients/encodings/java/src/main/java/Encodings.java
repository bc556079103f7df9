import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import java.io.ByteArrayOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.message.BinaryMessageEncoder;

/** Prints what Java's writers make of commands, for encodings.py to send: Encodings SCHEMAS MERCHANT_ID */
public final class Encodings {
    private static final String PREFIX = System.getenv("TOPIC_PREFIX");
    private static final int FRAME = 10; // what stands before a datum in single-object encoding

    public static void main(String[] args) throws Exception {
        String credit = Files.readString(Path.of(args[0], "credit.avsc"));
        String upsert = Files.readString(Path.of(args[0], "customer-upsert.avsc"));
        String merchant = args[1];
        // as classes that Avro's compiler makes with stringType=String have it, and so register it
        String javaStrings = upsert.replace("\"string\"", "{\"type\": \"string\", \"avro.java.string\": \"String\"}");

        print("serde", "credit", confluent("credit", credit(credit, merchant, "encodings-java-serde")));
        print("strings", "customer-upsert", confluent("customer-upsert", upsert(javaStrings, merchant, "encodings-java-strings")));
        print("message", "credit", singleObject(credit(credit, merchant, "encodings-java-message")));
        print("blocks", "customer-upsert", inBlocks(upsert(upsert, merchant, "encodings-java-blocks")));
    }

    private static void print(String name, String topic, byte[] value) {
        System.out.println(name + " " + topic + " " + HexFormat.of().formatHex(value));
    }

    private static byte[] confluent(String topic, GenericRecord command) {
        try (var serializer = new AvroKafkaSerializer<GenericRecord>()) {
            serializer.configure(Map.of(
                    "apicurio.registry.url", System.getenv("REGISTRY_URL").replace("/apis/ccompat/v7", "/apis/registry/v2"),
                    "apicurio.registry.auto-register", true,
                    "apicurio.registry.as-confluent", true,
                    "apicurio.registry.use-id", "contentId"), false);
            return serializer.serialize(PREFIX + topic, command);
        }
    }

    private static byte[] singleObject(GenericRecord command) throws Exception {
        var buffer = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), command.getSchema()).encode(command);
        return Arrays.copyOfRange(buffer.array(), buffer.arrayOffset(), buffer.arrayOffset() + buffer.remaining());
    }

    private static byte[] inBlocks(GenericRecord command) throws Exception {
        var out = new ByteArrayOutputStream();
        out.write(singleObject(command), 0, FRAME);
        var encoder = EncoderFactory.get().blockingBinaryEncoder(out, null);
        new GenericDatumWriter<GenericRecord>(command.getSchema()).write(command, encoder);
        encoder.flush();
        return out.toByteArray();
    }

    private static GenericRecord credit(String text, String merchant, String key) {
        Schema schema = new Schema.Parser().parse(text);
        Schema envelope = field(schema, "envelope");
        Schema customer = field(envelope, "customer").getTypes().get(1);
        Schema amount = field(schema, "command").getTypes().get(0);
        var ada = new GenericRecordBuilder(customer)
                .set("kind", new GenericData.EnumSymbol(field(customer, "kind"), "external_id"))
                .set("value", "ada");
        return new GenericRecordBuilder(schema)
                .set("envelope", envelope(envelope, merchant, key).set("customer", ada.build()).build())
                .set("command", new GenericRecordBuilder(amount).set("unit", "points").set("amount", 10L).build())
                .build();
    }

    private static GenericRecord upsert(String text, String merchant, String key) {
        Schema schema = new Schema.Parser().parse(text);
        Schema profile = field(schema, "command");
        var metadata = new java.util.HashMap<String, String>(Map.of("club", "south"));
        metadata.put("shoe", null);
        var bea = new GenericRecordBuilder(profile)
                .set("external_id", "bea")
                .set("first_name", "Bea")
                .set("gender", new GenericData.EnumSymbol(field(profile, "gender").getTypes().get(1), "female"))
                .set("metadata", metadata);
        return new GenericRecordBuilder(schema)
                .set("envelope", envelope(field(schema, "envelope"), merchant, key).build())
                .set("command", bea.build())
                .build();
    }

    private static GenericRecordBuilder envelope(Schema schema, String merchant, String key) {
        return new GenericRecordBuilder(schema).set("merchant_id", merchant).set("idempotency_key", key);
    }

    private static Schema field(Schema record, String name) {
        return record.getField(name).schema();
    }
}
