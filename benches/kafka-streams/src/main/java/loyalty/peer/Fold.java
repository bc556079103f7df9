package loyalty.peer;

import java.nio.ByteBuffer;
import org.apache.avro.util.Utf8;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;

/** The rules: one lane's credits and redeems in the order of their timestamps, decided once and answered as often as they come. */
final class Fold implements Processor<byte[], byte[], byte[], byte[]> {
    static final String ACCOUNTS = "accounts";
    static final String IDEMPOTENCY = "idempotency";

    private static final long LARGEST_AMOUNT = 1_000_000_000_000L;
    private static final Utf8 CREDIT = new Utf8("credit.amount");
    private static final Utf8 REDEEM = new Utf8("redeem.amount");

    enum Verdict {
        APPLIED(null, null),
        INVALID_FIELDS("invalid_fields", "the amount is not between 1 and 10^12"),
        UNKNOWN_CUSTOMER("unknown_customer", "nobody has this identifier"),
        INSUFFICIENT_POINTS("insufficient_points", "the balance is less than the amount");

        final String code;
        final String message;

        Verdict(String code, String message) {
            this.code = code;
            this.message = message;
        }
    }

    /** What a customer has. The version counts its changes. */
    record Account(long balance, long earned, long redeemed, long version) {
        static final Serde<Account> SERDE = Serdes.serdeFrom(
                (topic, account) -> account == null ? null : account.toBytes(),
                (topic, bytes) -> bytes == null ? null : read(ByteBuffer.wrap(bytes)));
        static final int LENGTH = 4 * Long.BYTES;

        Account credit(long amount) {
            return new Account(Math.addExact(balance, amount), Math.addExact(earned, amount), redeemed, version + 1);
        }

        Account redeem(long amount) {
            return new Account(balance - amount, earned, redeemed + amount, version + 1);
        }

        byte[] toBytes() {
            ByteBuffer out = ByteBuffer.allocate(LENGTH);
            write(out);
            return out.array();
        }

        void write(ByteBuffer out) {
            out.putLong(balance).putLong(earned).putLong(redeemed).putLong(version);
        }

        static Account read(ByteBuffer in) {
            return new Account(in.getLong(), in.getLong(), in.getLong(), in.getLong());
        }
    }

    /** A first answer: to what (its offset, and whether it was a credit), when, and the account after it. Times are in microseconds. */
    record Decision(Verdict verdict, boolean ofCredit, long offset, long occurredAt, long decidedAt, Account account) {
        static final Serde<Decision> SERDE = Serdes.serdeFrom(
                (topic, decision) -> decision == null ? null : decision.toBytes(),
                (topic, bytes) -> bytes == null ? null : read(ByteBuffer.wrap(bytes)));
        private static final int LENGTH = 2 + 3 * Long.BYTES;
        private static final Verdict[] VERDICTS = Verdict.values();

        private byte[] toBytes() {
            ByteBuffer out = ByteBuffer.allocate(LENGTH + (account == null ? 0 : Account.LENGTH));
            out.put((byte) verdict.ordinal()).put((byte) (ofCredit ? 1 : 0));
            out.putLong(offset).putLong(occurredAt).putLong(decidedAt);
            if (account != null) {
                account.write(out);
            }
            return out.array();
        }

        private static Decision read(ByteBuffer in) {
            return new Decision(
                    VERDICTS[in.get()], in.get() == 1, in.getLong(), in.getLong(), in.getLong(),
                    in.hasRemaining() ? Account.read(in) : null);
        }
    }

    private final String creditTopic;
    private final String redeemTopic;
    private final Wire.CommandReader credits = new Wire.CommandReader("credit.avsc");
    private final Wire.CommandReader redeems = new Wire.CommandReader("redeem.avsc");
    private final Wire.ResultWriter results = new Wire.ResultWriter();

    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, Account> accounts;
    private KeyValueStore<Bytes, Decision> decisions;

    Fold(String creditTopic, String redeemTopic) {
        this.creditTopic = creditTopic;
        this.redeemTopic = redeemTopic;
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        accounts = context.getStateStore(ACCOUNTS);
        decisions = context.getStateStore(IDEMPOTENCY);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        RecordMetadata metadata = context.recordMetadata().orElseThrow();
        boolean isCredit = metadata.topic().equals(creditTopic);
        Wire.Command command = (isCredit ? credits : redeems).read(record.value());
        Bytes idempotencyKey = key(command.merchant(), command.idempotencyKey());
        Decision decision = decisions.get(idempotencyKey);
        String originalTopic = null;
        if (decision != null) {
            originalTopic = decision.ofCredit ? creditTopic : redeemTopic;
        } else {
            decision = decide(command, isCredit, metadata.offset(), record.timestamp() * 1000);
            decisions.put(idempotencyKey, decision);
        }
        Wire.Position position = new Wire.Position(metadata.topic(), metadata.partition(), metadata.offset());
        byte[] result = results.write(position, isCredit ? CREDIT : REDEEM, command, decision, originalTopic);
        context.forward(record.withValue(result));
    }

    private Decision decide(Wire.Command command, boolean isCredit, long offset, long now) {
        Bytes accountKey = command.customer() == null ? null : key(command.merchant(), command.customer());
        Account account = accountKey == null ? null : accounts.get(accountKey);
        long amount = command.amount();
        Verdict verdict;
        if (amount < 1 || amount > LARGEST_AMOUNT) {
            verdict = Verdict.INVALID_FIELDS;
        } else if (account == null) {
            verdict = Verdict.UNKNOWN_CUSTOMER;
        } else if (!isCredit && amount > account.balance) {
            verdict = Verdict.INSUFFICIENT_POINTS;
        } else {
            verdict = Verdict.APPLIED;
            account = isCredit ? account.credit(amount) : account.redeem(amount);
            accounts.put(accountKey, account);
        }
        long occurredAt = command.occurredAt() == null ? now : command.occurredAt();
        return new Decision(verdict, isCredit, offset, occurredAt, now, account);
    }

    /** A merchant and a name within it; the byte between them is in neither. */
    static Bytes key(Utf8 merchant, Utf8 name) {
        byte[] bytes = new byte[merchant.getByteLength() + 1 + name.getByteLength()];
        System.arraycopy(merchant.getBytes(), 0, bytes, 0, merchant.getByteLength());
        System.arraycopy(name.getBytes(), 0, bytes, merchant.getByteLength() + 1, name.getByteLength());
        return Bytes.wrap(bytes);
    }
}
