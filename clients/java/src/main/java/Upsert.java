import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeoutException;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Creates a customer and prints what became of it: upsert.jar MERCHANT_ID PHONE [IDEMPOTENCY_KEY]
 *
 * <p>Exit code 0: accepted, 1: rejected, 2: not known. After 2, start it again with the key that it printed: the command is applied
 * once, however often it is sent.
 */
public final class Upsert {
    private static final Map<String, String> ENV = System.getenv();
    private static final String PREFIX = ENV.getOrDefault("TOPIC_PREFIX", "loyalty.");
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    /** By id: a schema never changes, so it is asked for once. */
    private static final Map<Integer, Schema> SCHEMAS = new HashMap<>();

    public static void main(String[] args) {
        if (args.length < 2 || args.length > 3) {
            System.err.println("usage: upsert.jar MERCHANT_ID PHONE [IDEMPOTENCY_KEY]");
            System.exit(2);
        }
        String key = args.length == 3 ? args[2] : UUID.randomUUID().toString();
        try {
            System.exit(upsert(args[0], args[1], key));
        } catch (Exception error) {
            System.err.printf("not known: %s. Send it again, unaltered, with the idempotency key %s%n", error, key);
            System.exit(2);
        }
    }

    private static int upsert(String merchant, String phone, String key) throws Exception {
        try (var results = resultsFromNowOn()) {
            send(merchant, Map.of(
                    "envelope", Map.of("merchant_id", merchant, "idempotency_key", key),
                    "command", Map.of("phone", phone)));
            GenericRecord result = awaitResult(results, merchant, key);

            boolean accepted = result.get("status").toString().equals("accepted");
            var rejection = (GenericRecord) result.get("rejection");
            String outcome = accepted
                    ? "accepted %s %s".formatted(result.get("effect"), result.get("customer_id"))
                    : "rejected %s: %s".formatted(rejection.get("code"), rejection.get("message"));
            System.out.println(outcome + ((boolean) result.get("duplicate") ? " duplicate" : ""));
            return accepted ? 0 : 1;
        }
    }

    private static KafkaConsumer<String, byte[]> resultsFromNowOn() {
        // The worker publishes in transactions, and read_committed is not Java's default. Without a group.id no group is made.
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", ENV.get("KAFKA_BOOTSTRAP"),
                "isolation.level", "read_committed",
                "default.api.timeout.ms", (int) PATIENCE.toMillis());
        var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
        var partitions = consumer.partitionsFor(PREFIX + "results").stream()
                .map(partition -> new TopicPartition(partition.topic(), partition.partition()))
                .toList();
        consumer.assign(partitions);
        // seekToEnd would look the ends up only with the first poll, when the result may be there already.
        consumer.endOffsets(partitions).forEach(consumer::seek);
        return consumer;
    }

    private static void send(String merchant, Map<String, ?> command) throws Exception {
        // Java's defaults are right: acks=all, idempotence, and murmur2 over the key, which brings a merchant's commands to one lane.
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", ENV.get("KAFKA_BOOTSTRAP"),
                "max.block.ms", (int) PATIENCE.toMillis(),
                "request.timeout.ms", 10_000,
                "delivery.timeout.ms", (int) PATIENCE.toMillis());
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            var record = new ProducerRecord<>(PREFIX + "customer-upsert", merchant, JSON.writeValueAsString(command));
            producer.send(record).get();
        }
    }

    private static GenericRecord awaitResult(KafkaConsumer<String, byte[]> consumer, String merchant, String key) throws Exception {
        Instant deadline = Instant.now().plus(PATIENCE);
        while (Instant.now().isBefore(deadline)) {
            for (var record : consumer.poll(Duration.between(Instant.now(), deadline))) {
                if (!merchant.equals(record.key())) continue;
                GenericRecord result = decode(record.value());
                if (result.get("idempotency_key").toString().equals(key)) return result;
            }
        }
        throw new TimeoutException("no result within " + PATIENCE.toSeconds() + " s");
    }

    /** Confluent's wire format: a zero, the id of the writer's schema in four bytes, the datum. */
    private static GenericRecord decode(byte[] value) throws Exception {
        var buffer = ByteBuffer.wrap(value);
        if (buffer.get() != 0) throw new IllegalArgumentException("a record that is not in Confluent's wire format");
        int id = buffer.getInt();
        if (!SCHEMAS.containsKey(id)) {
            var request = HttpRequest.newBuilder(URI.create(ENV.get("REGISTRY_URL") + "/schemas/ids/" + id)).timeout(PATIENCE).build();
            var response = HTTP.send(request, BodyHandlers.ofString());
            if (response.statusCode() != 200) throw new IllegalStateException("the registry answers " + response.statusCode());
            SCHEMAS.put(id, new Schema.Parser().parse(JSON.readTree(response.body()).get("schema").textValue()));
        }
        var datum = DecoderFactory.get().binaryDecoder(value, buffer.position(), buffer.remaining(), null);
        return new GenericDatumReader<GenericRecord>(SCHEMAS.get(id)).read(null, datum);
    }
}
