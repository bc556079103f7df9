package loyalty.peer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import org.apache.avro.util.Utf8;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.TopicConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.Stores;

/**
 * The worker's peer in the benchmark: credits and redeems folded by Kafka Streams with exactly_once_v2 and an idempotency store.
 *
 * <p>Each command is looked up by its idempotency key, judged against its customer's balance, and answered with one result; results,
 * both stores' changelogs and the offsets are committed in one Kafka transaction per thread and commit interval. This is Streams' best
 * case: stores in memory with the changelog as their only durable copy, no standbys, and no cache, in which random customers would
 * not meet.
 *
 * <p>What the worker does for its commands, and this does not:
 * <ul>
 *   <li>A ledger in a database: here are no entries and no lots that expire, only sums, and nobody can query them.
 *   <li>fsync: the broker acknowledges what is in its page cache, while the worker's COMMIT waits for the disk.
 *   <li>Customers' profiles and identifiers: the one identifier is the account's key, and upserts are not read. There is one unit,
 *       whatever its name.
 *   <li>Configuration by merchant and version, the rules of units, and the check that an order is credited once.
 *   <li>Events, customer states and the journal: the only output is the result, without entries.
 *   <li>The comparison of a duplicate's content with the first command's, and all checks of fields but the amount's.
 *   <li>Dead letters, JSON and the registry: each topic has one schema, and a record that can't be read stops the program.
 *   <li>Lane time and ticks, metrics, recovery from a backup, an audit.
 * </ul>
 * On its side, a task that starts or moves reads its whole changelog first, and what the stores hold must fit into memory.
 *
 * <p>Protocol: it puts the customers in place, restores its stores, prints {@code ready}, waits for the line {@code go} on stdin, and
 * processes until SIGTERM or the end of stdin.
 */
public final class Peer {
    /** As in load/mod.rs; customer i belongs to number i % 8. */
    private static final List<String> MERCHANTS = List.of(
            "bakery-lindt", "cafe-aurora", "market-verde", "pharmacy-sol",
            "cinema-luz", "bookshop-nord", "toys-kobe", "deli-otto");
    private static final long START_BALANCE = 1000;

    /** Who starts next with the same prefix need not wait until the group misses this member. */
    private static final CloseOptions LEAVING = CloseOptions
            .groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP)
            .withTimeout(Duration.ofSeconds(30));

    private final Options options;
    private final String application;
    private final String results;

    private Peer(Options options) {
        this.options = options;
        application = options.prefix + "streams";
        results = options.prefix + "streams-results";
    }

    public static void main(String[] arguments) throws Exception {
        Options options;
        try {
            options = Options.of(arguments);
        } catch (IllegalArgumentException e) {
            System.err.println(e.getMessage() + "\noptions: " + Options.USAGE);
            System.exit(2);
            return;
        }
        new Peer(options).run();
    }

    private void run() throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        Thread orders = new Thread(() -> obey(go), "stdin");
        orders.setDaemon(true);
        orders.start();

        makeTopics();
        Gate gate = new Gate();
        KafkaStreams streams = new KafkaStreams(topology(), settings(), gate);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            // At once: an orderly end would wait for the thread that is here.
            Runtime.getRuntime().halt(1);
            return null;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(LEAVING)));
        streams.start();
        while (!allTasksRun(streams)) {
            Thread.sleep(10);
        }
        System.out.println("ready");
        go.await();
        gate.open();
    }

    /** Every lane's task is here and has restored its stores. While the threads join one by one, Streams may run with fewer. */
    private boolean allTasksRun(KafkaStreams streams) {
        return streams.state() == KafkaStreams.State.RUNNING
                && streams.metadataForLocalThreads().stream().mapToInt(thread -> thread.activeTasks().size()).sum()
                        == options.lanes;
    }

    private static void obey(CountDownLatch go) {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                if (line.equals("go")) {
                    go.countDown();
                }
            }
        } catch (IOException e) {
            System.err.println("stdin: " + e);
        }
        System.exit(0);
    }

    private Topology topology() {
        String credit = options.prefix + "credit";
        String redeem = options.prefix + "redeem";
        var accounts = Stores.keyValueStoreBuilder(store(Fold.ACCOUNTS), Serdes.Bytes(), Fold.Account.SERDE);
        var decisions = Stores.keyValueStoreBuilder(store(Fold.IDEMPOTENCY), Serdes.Bytes(), Fold.Decision.SERDE);
        return new Topology()
                .addSource("commands", new ByteArrayDeserializer(), new ByteArrayDeserializer(), credit, redeem)
                .addProcessor("fold", () -> new Fold(credit, redeem), "commands")
                .addStateStore(accounts, "fold")
                .addStateStore(decisions, "fold")
                .addSink("results", results, new ByteArraySerializer(), new ByteArraySerializer(), "fold");
    }

    private KeyValueBytesStoreSupplier store(String name) {
        return options.inMemory ? Stores.inMemoryKeyValueStore(name) : Stores.persistentKeyValueStore(name);
    }

    private Properties settings() {
        Properties all = new Properties();
        all.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        all.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.bootstrap);
        all.put(StreamsConfig.STATE_DIR_CONFIG, options.stateDir);
        all.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, options.threads);
        all.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        all.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        all.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, options.commitIntervalMs);
        all.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        // Few large fetches, and enough of both topics at hand that merging them by time seldom waits.
        all.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        all.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);
        all.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        // A transaction's records of one partition make a few batches, which lz4 and the broker like best.
        all.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        all.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        all.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
        all.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L << 20);
        return all;
    }

    /** Makes the topic of results, and the accounts' changelog with the customers in it, where they are missing. */
    private void makeTopics() throws ExecutionException, InterruptedException {
        // As Streams names it.
        String changelog = application + "-" + Fold.ACCOUNTS + "-changelog";
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", options.bootstrap))) {
            Set<String> present = admin.listTopics().names().get();
            if (!present.contains(results)) {
                admin.createTopics(List.of(new NewTopic(results, options.lanes, (short) 1))).all().get();
            }
            if (!present.contains(changelog)) {
                NewTopic topic = new NewTopic(changelog, options.lanes, (short) 1)
                        .configs(Map.of(TopicConfig.CLEANUP_POLICY_CONFIG, TopicConfig.CLEANUP_POLICY_COMPACT));
                admin.createTopics(List.of(topic)).all().get();
                putCustomers(changelog);
            }
        }
    }

    /**
     * A task's store comes from its changelog, so the customers are written there, in one transaction of their own. A task that put half
     * a million before its first commit could outlive its transaction, for which Streams has ten seconds.
     */
    private void putCustomers(String changelog) {
        Map<String, Object> settings = Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, options.bootstrap,
                ProducerConfig.TRANSACTIONAL_ID_CONFIG, application + "-customers",
                ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4",
                ProducerConfig.BATCH_SIZE_CONFIG, 256 << 10,
                ProducerConfig.LINGER_MS_CONFIG, 100);
        byte[] account = new Fold.Account(START_BALANCE, START_BALANCE, 0, 1).toBytes();
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.initTransactions();
            producer.beginTransaction();
            // Not by the account's key: commands are keyed by the merchant alone.
            Map<String, Integer> lanes = new HashMap<>();
            for (String merchant : MERCHANTS) {
                lanes.put(merchant, laneOf(merchant));
            }
            for (int i = 1; i <= options.customers; i++) {
                String merchant = MERCHANTS.get(i % MERCHANTS.size());
                byte[] key = Fold.key(new Utf8(merchant), new Utf8("c-" + i)).get();
                producer.send(new ProducerRecord<>(changelog, lanes.get(merchant), key, account));
            }
            producer.commitTransaction();
        }
    }

    /** As every sender's partitioner has it. */
    private int laneOf(String merchant) {
        byte[] key = merchant.getBytes(StandardCharsets.UTF_8);
        return Utils.toPositive(Utils.murmur2(key)) % options.lanes;
    }

    /** The command line: pairs of a name and a value. */
    private record Options(
            String bootstrap,
            String prefix,
            int lanes,
            int threads,
            int customers,
            String stateDir,
            boolean inMemory,
            int commitIntervalMs) {
        static final String USAGE = "--bootstrap HOST:PORT --prefix P --lanes N --threads T --customers C --state-dir DIR"
                + " [--store memory|rocksdb] [--commit-interval-ms MS]";

        static Options of(String[] arguments) {
            Map<String, String> given = new HashMap<>(Map.of("--store", "memory", "--commit-interval-ms", "100"));
            for (int i = 0; i < arguments.length; i += 2) {
                if (i + 1 == arguments.length) {
                    throw new IllegalArgumentException(arguments[i] + " has no value");
                }
                given.put(arguments[i], arguments[i + 1]);
            }
            Options options = new Options(
                    take(given, "--bootstrap"),
                    take(given, "--prefix"),
                    number(take(given, "--lanes")),
                    number(take(given, "--threads")),
                    number(take(given, "--customers")),
                    take(given, "--state-dir"),
                    inMemory(take(given, "--store")),
                    number(take(given, "--commit-interval-ms")));
            if (!given.isEmpty()) {
                throw new IllegalArgumentException(given.keySet() + " is unknown");
            }
            return options;
        }

        private static String take(Map<String, String> given, String name) {
            String value = given.remove(name);
            if (value == null) {
                throw new IllegalArgumentException(name + " is missing");
            }
            return value;
        }

        private static int number(String text) {
            try {
                return Integer.parseInt(text);
            } catch (NumberFormatException e) {
                throw new IllegalArgumentException(text + " is not a number");
            }
        }

        private static boolean inMemory(String store) {
            return switch (store) {
                case "memory" -> true;
                case "rocksdb" -> false;
                default -> throw new IllegalArgumentException("there is no store " + store);
            };
        }
    }
}
