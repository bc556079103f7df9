"""Sends what other writers make of a command, and checks how each record is answered.

    encodings.py MERCHANT_ID JAVA...

The merchant has settings and nothing else. JAVA is a command that prints what Java's writers make: NAME, TOPIC and the value in hex.
What is accepted is then sent as JSON under the same key: the answer must be `duplicate`, which it is only where both mean the same.
"""

import copy
import io
import json
import struct
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

import fastavro
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

TOP = Path(__file__).resolve().parents[2]
sys.path.append(str(TOP / "clients/python"))
from upsert import BOOTSTRAP, PATIENCE_SECONDS, PREFIX, REGISTRY, decode  # noqa: E402

MERCHANT, *JAVA = sys.argv[1:]
NO_DATUM = "The value is not a datum of the schema that it names."
UNRESOLVABLE = ("The schema is a version of loyalty.v1.CreditCommand that Avro can't resolve to this worker's: a type is another, a symbol is "
                "unknown, or a field without a default is missing.")
failed = 0


# ---- schemas, and other versions of them -------------------------------------------------------


def schema(name):
    return json.loads((TOP / f"schemas/{name}.avsc").read_text(encoding="utf-8"))


def record_at(node, path):
    """The record that a path of field names leads to, through unions of null and a record too."""
    for name in path:
        node = next(field for field in node["fields"] if field["name"] == name)["type"]
        if isinstance(node, list):
            node = next(branch for branch in node if isinstance(branch, dict))
    return node


def altered(name, path, change):
    """Our schema, after `change` has had the fields of one of its records, by their names."""
    other = schema(name)
    record = record_at(other, path)
    fields = {field["name"]: field for field in record["fields"]}
    change(fields)
    record["fields"] = list(fields.values())
    return other


def typed(field, avro_type):
    return lambda fields: fields.update({field: {"name": field, "type": avro_type}})


def reorder(fields):
    for field in fields.values():
        if isinstance(field["type"], list):
            field["type"].reverse()
            del field["default"]  # it would have to be of the first branch
    fields.update(dict(reversed([(name, fields.pop(name)) for name in list(fields)])))


def rename(old, new):
    return lambda fields: fields.update({old: {**fields[old], "name": new, "aliases": [old]}})


# ---- writers -----------------------------------------------------------------------------------


def datum(writer, value):
    out = io.BytesIO()
    # a copy: fastavro leaves its own marks in what it parses
    fastavro.schemaless_writer(out, fastavro.parse_schema(copy.deepcopy(writer)), value)
    return out.getvalue()


def registered(subject, writer, kind="AVRO"):
    body = json.dumps({"schema": json.dumps(writer), "schemaType": kind}).encode()
    head = {"content-type": "application/vnd.schemaregistry.v1+json"}
    request = urllib.request.Request(f"{REGISTRY}/subjects/{PREFIX}{subject}/versions", body, head)
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        return json.load(response)["id"]


def confluent(topic, writer, value):
    return struct.pack(">bI", 0, registered(f"{topic}-value", writer)) + datum(writer, value)


def single_object(writer, value):
    canonical = fastavro.schema.to_parsing_canonical_form(copy.deepcopy(writer))
    return b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")) + datum(writer, value)


def by_confluent(topic, value):
    serializer = AvroSerializer(SchemaRegistryClient({"url": REGISTRY}), json.dumps(schema(topic)))
    return serializer(value, SerializationContext(f"{PREFIX}{topic}", MessageField.VALUE))


# ---- sending, and what is answered -------------------------------------------------------------


def from_now_on(*topics):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "encodings", "enable.auto.commit": False})
    assignment = []
    for topic in topics:
        for partition in consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_SECONDS)
            assignment.append(TopicPartition(topic, partition, end))
    consumer.assign(assignment)
    return consumer


answers = from_now_on(f"{PREFIX}results", f"{PREFIX}dead-letters")
producer = Producer({"bootstrap.servers": BOOTSTRAP, "partitioner": "murmur2_random", "enable.idempotence": True, "linger.ms": 0})


def send(topic, value):
    """Sends a record, and waits for what answers it: a result, or the headers of a dead letter."""
    reports = []
    producer.produce(f"{PREFIX}{topic}", value, MERCHANT, on_delivery=lambda *report: reports.append(report))
    if producer.flush(PATIENCE_SECONDS) or reports[0][0]:
        raise RuntimeError(f"not sent: {reports}")
    position = [reports[0][1].topic(), reports[0][1].partition(), reports[0][1].offset()]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        record = answers.poll(left)
        if record is None:
            continue
        if record.error():
            raise KafkaException(record.error())
        if record.topic() == f"{PREFIX}results":
            answer = decode(record.value())
            answered = [answer["command"][part] for part in ("topic", "partition", "offset")]
        else:
            headers = {name: text.decode() for name, text in record.headers() if name.startswith("__connect.errors.")}
            answer = {name.removeprefix("__connect.errors."): text for name, text in headers.items()}
            answered = [answer["topic"], int(answer["partition"]), int(answer["offset"])]
            if record.value() != value:
                raise RuntimeError("the dead letter's value is not the one that was sent")
        if answered == position:
            return answer
    raise TimeoutError(f"no answer to {position} within {PATIENCE_SECONDS} s")


def said(answer):
    if "class.name" in answer:
        return f"{answer['class.name']}: {answer['exception.message']}"
    effect = answer["effect"] if answer["status"] == "accepted" else answer["rejection"]
    balances = "".join(f", {balance['available']} {balance['unit']}" for balance in answer["balances"])
    return f"{answer['status']} {effect}{balances}" + (", duplicate" if answer["duplicate"] else "")


def report(writer, what, expected, found):
    global failed
    if found == expected:
        found = found.split(". ")[0].rstrip(".")
    else:
        failed += 1
        found += f"\n{'':<12}but expected: {expected}"
    print(f"{writer:<12}{what:<46}{found}")


def understood(writer, what, topic, value, expected, means):
    found = said(send(topic, value))
    again = said(send(topic, json.dumps(means).encode()))
    if found == expected and again != expected.split(",")[0] + ", duplicate":  # which has no balances
        found += f"; but the same in JSON: {again}"
    report(writer, what, expected, found)


def dead(writer, what, topic, value, code, sentence):
    report(writer, what, f"{code}: {sentence}", said(send(topic, value)))


# ---- commands ----------------------------------------------------------------------------------


def envelope(key, **more):
    return {"merchant_id": MERCHANT, "idempotency_key": f"encodings-{key}", **more}


def upsert(key, **fields):
    return {"envelope": envelope(key), "command": fields}


def credit(key, amount, **more):
    ada = {"kind": "external_id", "value": "ada"}
    return {"envelope": envelope(key, customer=ada), "command": {"unit": "points", "amount": amount, **more}}


def named(command, variant):
    """As JSON has it, where `type` names the variant."""
    return {**command, "command": {"type": variant, **command["command"]}}


def other_versions():
    """fastavro, with schemas that are not ours."""
    unit = {"envelope": envelope("unit"), "command": {"unit_id": "points", "name": "Points", "scale": 0, "min_amount": 5}}
    value = confluent("merchant-config", schema("released/1/merchant-config"), unit)
    understood("fastavro", "merchant-config of release 1", "merchant-config", value, "accepted created", named(unit, "unit"))

    ada = upsert("ada", external_id="ada", first_name="Ada", active=True)
    value = confluent("customer-upsert", schema("released/1/customer-upsert"), ada)
    understood("fastavro", "customer-upsert of release 1", "customer-upsert", value, "accepted created", ada)

    ada = upsert("reordered", external_id="ada", last_name="Lovelace", mode="update", gender="female", source_version=7,
                 clear=["first_name"], metrics={"visits": {"value": 3, "scale": 1}, "none": None}, metadata={"club": "north"})
    nothing = dict.fromkeys(field["name"] for field in record_at(schema("customer-upsert"), ["command"])["fields"])
    whole = {**ada, "command": {**nothing, **ada["command"]}}
    value = confluent("customer-upsert", altered("customer-upsert", ["command"], reorder), whole)
    understood("fastavro", "fields and unions in another order", "customer-upsert", value, "accepted updated", ada)

    def credits(what, key, change, balance, sent=(), **means):
        """A credit of 10, by a schema whose variant is another: `sent` is what its writer has besides."""
        command = credit(key, 10, **means)
        writer = altered("credit", ["command"], change)
        value = confluent("credit", writer, {**command, "command": {**command["command"], **dict(sent)}})
        understood("fastavro", what, "credit", value, f"accepted applied, {balance} points", named(command, "amount"))

    credits("an int where ours is a long", "int", typed("amount", "int"), 10)
    credits("bytes where ours is a string", "bytes", typed("unit", "bytes"), 20, sent={"unit": b"points"})
    credits("no union where ours is one", "plain", typed("order_id", "string"), 30, order_id="1")

    till = {"type": "record", "name": "Till", "fields": [{"name": "ids", "type": {"type": "array", "items": "double"}}]}
    credits("one more field, with a default", "more",
            lambda fields: fields.update(till={"name": "till", "type": ["null", till], "default": None}), 40,
            sent={"till": {"ids": [1.5, 2.5]}})
    decimal, uuid = {"logicalType": "decimal", "precision": 9, "scale": 2}, {"logicalType": "uuid"}
    credits("one more field, a decimal", "decimal", typed("price", {"type": "bytes", **decimal}), 50, sent={"price": b"\x04\xd2"})
    credits("one more field, a fixed decimal", "fixed", typed("price", {"type": "fixed", "name": "Price", "size": 4, **decimal}), 60,
            sent={"price": b"\0\0\x04\xd2"})
    credits("one more field, a UUID", "uuid", typed("till", {"type": "string", **uuid}), 70,
            sent={"till": "7d444840-9dc0-11d1-b245-5ffdce74fad2"})
    credits("an optional field renamed, so left out", "renamed", rename("reason", "why"), 80, sent={"why": "purchase"})

    now = int(time.time())
    command = credit("millis", 10)
    command["envelope"]["occurred_at"] = now * 1000
    millis = ["null", {"type": "long", "logicalType": "timestamp-millis"}]
    value = confluent("credit", altered("credit", ["envelope"], typed("occurred_at", millis)), command)
    command["envelope"]["occurred_at"] = datetime.fromtimestamp(now, timezone.utc).isoformat()
    understood("fastavro", "milliseconds where ours are microseconds", "credit", value, "accepted applied, 90 points",
               named(command, "amount"))

    command = credit("namespace", 10)
    value = confluent("credit", {**schema("credit"), "namespace": "com.example.shop"}, command)
    understood("fastavro", "another namespace", "credit", value, "accepted applied, 100 points", named(command, "amount"))


def other_writers():
    command = credit("confluent", 10, title="Thanks")
    value = by_confluent("credit", command)
    understood("Confluent", "AvroSerializer, credit", "credit", value, "accepted applied, 110 points", named(command, "amount"))
    ada = upsert("confluent-ada", external_id="ada", gender="other", metadata={"shoe": "38"})
    value = by_confluent("customer-upsert", ada)
    understood("Confluent", "AvroSerializer, customer-upsert", "customer-upsert", value, "accepted updated", ada)

    command = credit("single-object", 10, skip_notifications=True)
    value = single_object(schema("credit"), command)
    understood("fastavro", "single-object, credit", "credit", value, "accepted applied, 120 points", named(command, "amount"))
    ada = upsert("single-object-ada", external_id="ada", last_name="King", notify_email=False)
    value = single_object(schema("released/1/customer-upsert"), ada)
    understood("fastavro", "single-object, customer-upsert of release 1", "customer-upsert", value, "accepted updated", ada)

    written = subprocess.run([*JAVA, MERCHANT], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    values = {name: (topic, bytes.fromhex(value)) for name, topic, value in map(str.split, written)}
    bea = {"external_id": "bea", "first_name": "Bea", "gender": "female", "metadata": {"club": "south", "shoe": None}}
    for name, what, expected, means in [
        ("serde", "Apicurio's serde, credit", "accepted applied, 130 points", named(credit("java-serde", 10), "amount")),
        ("strings", "the same, as a class with Java's strings", "accepted created", upsert("java-strings", **bea)),
        ("message", "single-object, credit", "accepted applied, 140 points", named(credit("java-message", 10), "amount")),
        ("blocks", "single-object, a map in blocks with sizes", "accepted unchanged", upsert("java-blocks", **bea)),
    ]:
        understood("Java", what, *values.pop(name), expected, means)
    if values:
        raise RuntimeError(f"nothing is expected of Java's {list(values)}")


def not_understood():
    command = credit("bad", 10)
    own = confluent("credit", schema("credit"), command)
    other = confluent("credit", altered("credit", ["command"], typed("amount", "int")), command)
    alone = single_object(schema("credit"), command)
    for what, value in [("a datum that ends early", own[:-1]), ("a datum of another version that ends early", other[:-1]),
                        ("a single-object datum that ends early", alone[:-1]), ("a datum with a byte too many", own + b"\0")]:
        dead("fastavro", what, "credit", value, "undecodable", NO_DATUM)

    text = credit("bad", "10")
    value = confluent("credit", altered("credit", ["command"], typed("amount", "string")), text)
    dead("fastavro", "a string where ours is a long", "credit", value, "undecodable", UNRESOLVABLE)
    value = confluent("credit", altered("credit", ["command"], rename("amount", "points")), credit("bad", 10, points=10))
    dead("fastavro", "a required field renamed", "credit", value, "undecodable", UNRESOLVABLE)

    redeem, ours = "loyalty.v1.RedeemCommand", "loyalty.v1.CreditCommand"
    elsewhere = f"The schema is that of {redeem}, but the topic takes {ours}. Send the command to its own topic."
    dead("fastavro", "the command of another topic", "credit", confluent("credit", schema("redeem"), command), "undecodable", elsewhere)
    dead("fastavro", "the same, single-object", "credit", single_object(schema("redeem"), command), "undecodable", elsewhere)
    order = {"type": "record", "name": "Order", "namespace": "com.example", "fields": [{"name": "number", "type": "string"}]}
    dead("fastavro", "another record", "credit", confluent("credit", order, {"number": "1"}), "undecodable",
         f"The schema is that of com.example.Order, but the topic takes {ours}.")
    dead("fastavro", "no record", "credit", confluent("credit", "string", "1"), "undecodable",
         f"The schema is that of no record, but the topic takes {ours}.")
    of_json = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"amount": {"type": "integer"}}}
    value = struct.pack(">bI", 0, registered("credit-json", of_json, "JSON")) + b"{}"
    dead("none", "a JSON schema in Confluent's framing", "credit", value, "undecodable",
         "The schema is not an Avro schema that is complete without references.")

    dead("none", "an id that the registry does not have", "credit", struct.pack(">bI", 0, 2**31 - 1) + own[5:], "unknown_schema",
         "The schema registry does not have the schema that the value names. Register it before sending.")
    dead("fastavro", "single-object of an unknown schema", "credit", single_object(order, {"number": "1"}), "unknown_schema",
         "The value names a schema by a fingerprint that is of none of this worker's schemas. Send Avro in Confluent's wire format, "
         "with the schema in the registry, or let a newer worker read it.")
    dead("none", "four bytes", "credit", own[:4], "undecodable",
         "The value begins as Avro in Confluent's wire format, but ends before the four bytes of the schema id.")


other_versions()
other_writers()
not_understood()
answers.close()
sys.exit(1 if failed else 0)
