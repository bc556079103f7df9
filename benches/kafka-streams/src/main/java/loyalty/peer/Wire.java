package loyalty.peer;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.util.Utf8;

/** The bytes of commands and results: Avro behind the five bytes of Confluent's wire format. */
final class Wire {
    /** A zero, and the schema's id in four bytes. */
    private static final int FRAME = 5;

    private Wire() {}

    /** What the fold needs of a command. The texts are valid until the next command of the same topic is read. */
    record Command(Utf8 merchant, Utf8 idempotencyKey, Utf8 customer, Long occurredAt, Utf8 unit, long amount) {}

    /** Reads the commands of one topic, for one thread: the record, its texts and the decoder are used again and again. */
    static final class CommandReader {
        private final GenericDatumReader<GenericRecord> reader;
        private GenericRecord record;
        private BinaryDecoder decoder;
        private final int envelope;
        private final int merchant;
        private final int idempotencyKey;
        private final int customer;
        private final int customerValue;
        private final int occurredAt;
        private final int command;
        private final int unit;
        private final int amount;

        /** All of a topic's commands are taken to have the schema of this name, as those of the benchmark have. */
        CommandReader(String schemaFile) {
            Schema schema = schema(schemaFile);
            reader = new GenericDatumReader<>(schema, schema, new GenericData().setFastReaderEnabled(true));
            envelope = schema.getField("envelope").pos();
            command = schema.getField("command").pos();
            Schema ofEnvelope = schema.getField("envelope").schema();
            merchant = ofEnvelope.getField("merchant_id").pos();
            idempotencyKey = ofEnvelope.getField("idempotency_key").pos();
            customer = ofEnvelope.getField("customer").pos();
            customerValue = ofEnvelope.getField("customer").schema().getTypes().get(1).getField("value").pos();
            occurredAt = ofEnvelope.getField("occurred_at").pos();
            Schema ofCommand = schema.getField("command").schema().getTypes().get(0);
            unit = ofCommand.getField("unit").pos();
            amount = ofCommand.getField("amount").pos();
        }

        private static Schema schema(String file) {
            try (InputStream text = Wire.class.getResourceAsStream("/" + file)) {
                return new Schema.Parser().parse(text);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        Command read(byte[] framed) {
            try {
                decoder = DecoderFactory.get().binaryDecoder(framed, FRAME, framed.length - FRAME, decoder);
                record = reader.read(record, decoder);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            GenericRecord head = (GenericRecord) record.get(envelope);
            GenericRecord body = (GenericRecord) record.get(command);
            GenericRecord reference = (GenericRecord) head.get(customer);
            return new Command(
                    (Utf8) head.get(merchant),
                    (Utf8) head.get(idempotencyKey),
                    reference == null ? null : (Utf8) reference.get(customerValue),
                    (Long) head.get(occurredAt),
                    (Utf8) body.get(unit),
                    (long) body.get(amount));
        }
    }

    /** Where a record stands. */
    record Position(String topic, int partition, long offset) {}

    /**
     * Writes results as schemas/results.avsc has them, so that who reads the worker's can read these. What this fold has not (entries,
     * versions of configuration, the sender's labels) is null or empty. The schema's id is 0, since nothing here asks the registry.
     */
    static final class ResultWriter {
        private static final Utf8 ACCEPTED = new Utf8("accepted");
        private static final Utf8 REJECTED = new Utf8("rejected");
        private static final Utf8 APPLIED = new Utf8("applied");

        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
        private final BinaryEncoder out = EncoderFactory.get().binaryEncoder(bytes, null);

        /** The original's topic is of a duplicate's first command, and null where this is the first. */
        byte[] write(Position position, Utf8 kind, Command command, Fold.Decision decision, String originalTopic) {
            try {
                bytes.reset();
                out.writeFixed(new byte[FRAME]);
                out.writeString(position.topic + '/' + position.partition + '/' + position.offset); // result_id
                out.writeIndex(0); // source
                writePosition(position.topic, position.partition, position.offset);
                out.writeString(command.merchant);
                out.writeString(command.idempotencyKey);
                out.writeString(kind);
                if (command.customer == null) {
                    out.writeIndex(0);
                } else {
                    out.writeIndex(1);
                    out.writeString(command.customer);
                }
                Fold.Verdict verdict = decision.verdict();
                boolean accepted = verdict == Fold.Verdict.APPLIED;
                out.writeString(accepted ? ACCEPTED : REJECTED);
                out.writeBoolean(originalTopic != null); // duplicate
                if (originalTopic == null) {
                    out.writeIndex(0);
                } else {
                    out.writeIndex(1);
                    writePosition(originalTopic, position.partition, decision.offset());
                }
                if (accepted) {
                    out.writeIndex(1);
                    out.writeString(APPLIED);
                    out.writeIndex(0); // no rejection
                } else {
                    out.writeIndex(0); // no effect
                    out.writeIndex(1);
                    out.writeString(verdict.code);
                    out.writeString(verdict.message);
                    out.writeInt(0); // no fields
                    out.writeInt(0); // no detail
                }
                out.writeLong(decision.occurredAt());
                out.writeLong(decision.decidedAt());
                out.writeIndex(0); // config_version
                writeAccount(command.unit, decision.account());
                out.writeInt(0); // no attributes
                out.flush();
                return bytes.toByteArray();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        private void writePosition(String topic, int partition, long offset) throws IOException {
            out.writeString(topic);
            out.writeInt(partition);
            out.writeLong(offset);
        }

        /** The customer's version, no entries, and the balance. */
        private void writeAccount(Utf8 unit, Fold.Account account) throws IOException {
            if (account == null) {
                out.writeIndex(0);
                out.writeInt(0);
                out.writeInt(0);
                return;
            }
            out.writeIndex(1);
            out.writeLong(account.version());
            out.writeInt(0); // no entries
            out.writeInt(1);
            out.writeString(unit);
            out.writeLong(account.balance()); // available
            out.writeLong(0); // pending
            out.writeLong(0); // held
            out.writeLong(0); // debt
            out.writeLong(account.balance());
            out.writeLong(account.earned());
            out.writeInt(0); // the last balance
        }
    }
}
