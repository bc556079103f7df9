package loyalty.peer;

import java.time.Duration;
import java.util.Collection;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.KafkaClientSupplier;

/**
 * Keeps the commands away from the tasks until it is opened, while the tasks restore their stores. {@code KafkaStreams.pause()} can't do
 * that, since it pauses the restoration too. But Streams pauses every input partition that it is assigned, and resumes it when its task is
 * restored: until the gate is open, that is put off.
 */
final class Gate implements KafkaClientSupplier {
    private volatile boolean open;

    void open() {
        open = true;
    }

    @Override
    public Admin getAdmin(Map<String, Object> config) {
        return Admin.create(config);
    }

    @Override
    public Consumer<byte[], byte[]> getConsumer(Map<String, Object> config) {
        return new GatedConsumer(config);
    }

    @Override
    public Consumer<byte[], byte[]> getRestoreConsumer(Map<String, Object> config) {
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    @Override
    public Consumer<byte[], byte[]> getGlobalConsumer(Map<String, Object> config) {
        return getRestoreConsumer(config);
    }

    @Override
    public Producer<byte[], byte[]> getProducer(Map<String, Object> config) {
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private final class GatedConsumer extends KafkaConsumer<byte[], byte[]> {
        private final Set<TopicPartition> heldBack = new HashSet<>();

        GatedConsumer(Map<String, Object> config) {
            super(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        }

        @Override
        public void pause(Collection<TopicPartition> partitions) {
            heldBack.removeAll(partitions);
            super.pause(partitions);
        }

        @Override
        public void resume(Collection<TopicPartition> partitions) {
            if (open) {
                super.resume(partitions);
            } else {
                heldBack.addAll(partitions);
            }
        }

        @Override
        public ConsumerRecords<byte[], byte[]> poll(Duration timeout) {
            if (open && !heldBack.isEmpty()) {
                heldBack.retainAll(assignment());
                super.resume(heldBack);
                heldBack.clear();
            }
            return super.poll(timeout);
        }
    }
}
