"""Creates a customer and prints what became of it.

    upsert.py MERCHANT_ID PHONE [IDEMPOTENCY_KEY]

Exit code 0: accepted, 1: rejected, 2: not known. After 2, start it again with the key that it printed: the command is applied once,
however often it is sent.
"""

import io
import json
import os
import sys
import time
import urllib.request
import uuid

import fastavro
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

BOOTSTRAP = os.environ["KAFKA_BOOTSTRAP"]
REGISTRY = os.environ["REGISTRY_URL"]
PREFIX = os.environ.get("TOPIC_PREFIX", "loyalty.")
PATIENCE_SECONDS = 30


def main(merchant_id, phone, idempotency_key):
    results = results_from_now_on()
    try:
        send(merchant_id, {
            "envelope": {"merchant_id": merchant_id, "idempotency_key": idempotency_key},
            "command": {"phone": phone},
        })
        result = await_result(results, merchant_id, idempotency_key)
    finally:
        results.close()

    again = " duplicate" if result["duplicate"] else ""
    if result["status"] == "accepted":
        print(f"accepted {result['effect']} {result['customer_id']}{again}")
        return 0
    rejection = result["rejection"]
    print(f"rejected {rejection['code']}: {rejection['message']}{again}")
    return 1


def results_from_now_on():
    consumer = Consumer({
        "bootstrap.servers": BOOTSTRAP,
        # librdkafka wants a name, but no group is made: partitions are assigned by hand and no offset is committed.
        "group.id": "upsert-example",
        "enable.auto.commit": False,
        # The worker publishes in transactions; this is librdkafka's default, said because everything rests on it.
        "isolation.level": "read_committed",
    })
    topic = PREFIX + "results"
    partitions = consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions
    assignment = []
    for partition in partitions:
        # OFFSET_END would be looked up only with the first poll, when the result may be there already.
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_SECONDS)
        assignment.append(TopicPartition(topic, partition, end))
    consumer.assign(assignment)
    return consumer


def send(merchant_id, command):
    producer = Producer({
        "bootstrap.servers": BOOTSTRAP,
        # The merchant's key and Java's partitioner bring all commands of a merchant to one lane. librdkafka's own default differs.
        "partitioner": "murmur2_random",
        "enable.idempotence": True,  # and with it acks=all
        "delivery.timeout.ms": PATIENCE_SECONDS * 1000,
    })
    failures = []
    producer.produce(
        PREFIX + "customer-upsert",
        key=merchant_id,
        value=json.dumps(command),
        on_delivery=lambda error, _: failures.append(error) if error else None,
    )
    if producer.flush(PATIENCE_SECONDS + 5) or failures:
        raise RuntimeError(f"the command may not have been sent: {failures}")


def await_result(consumer, merchant_id, idempotency_key):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        record = consumer.poll(left)
        if record is None:
            continue
        if record.error():
            raise KafkaException(record.error())
        if record.key() != merchant_id.encode():
            continue
        result = decode(record.value())
        if result["idempotency_key"] == idempotency_key:
            return result
    raise TimeoutError(f"no result within {PATIENCE_SECONDS} s")


schemas = {}  # by id: a schema never changes, so it is asked for once


def decode(value):
    """Confluent's wire format: a zero, the id of the writer's schema in four bytes, the datum."""
    if value[0] != 0:
        raise ValueError("a record that is not in Confluent's wire format")
    schema_id = int.from_bytes(value[1:5], "big")
    if schema_id not in schemas:
        with urllib.request.urlopen(f"{REGISTRY}/schemas/ids/{schema_id}", timeout=10) as response:
            schemas[schema_id] = fastavro.parse_schema(json.loads(json.load(response)["schema"]))
    return fastavro.schemaless_reader(io.BytesIO(value[5:]), schemas[schema_id])


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    key = sys.argv[3] if len(sys.argv) == 4 else str(uuid.uuid4())
    try:
        sys.exit(main(sys.argv[1], sys.argv[2], key))
    except Exception as error:
        print(f"not known: {error}. Send it again, unaltered, with the idempotency key {key}", file=sys.stderr)
        sys.exit(2)
