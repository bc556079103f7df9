/**
 * Creates a customer and prints what became of it: upsert.js MERCHANT_ID PHONE [IDEMPOTENCY_KEY]
 *
 * Exit code 0: accepted, 1: rejected, 2: not known. After 2, start it again with the key that it printed: the command is applied once,
 * however often it is sent.
 */
import { randomUUID } from "node:crypto";
import { EventEmitter, on } from "node:events";
import avro from "avsc";
import kafkajs from "kafkajs";
import { compressFrame, decompressFrame } from "lz4-napi";

interface Result {
  idempotency_key: string;
  status: "accepted" | "rejected";
  duplicate: boolean;
  effect: string | null;
  customer_id: string | null;
  rejection: { code: string; message: string } | null;
}

const { CompressionCodecs, CompressionTypes, Kafka, logLevel, Partitioners } = kafkajs; // CommonJS has no named exports to import
const { KAFKA_BOOTSTRAP = "", REGISTRY_URL = "", TOPIC_PREFIX = "loyalty." } = process.env;
const RESULTS = `${TOPIC_PREFIX}results`;
const PATIENCE_MS = 30_000;
// The worker compresses with LZ4, which kafkajs leaves to a codec that it is given.
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder: { buffer: Buffer }) => compressFrame(encoder.buffer),
  decompress: decompressFrame,
});
// Not logged: each failed attempt to connect. What fails in the end is thrown.
const kafka = new Kafka({ brokers: KAFKA_BOOTSTRAP.split(","), logLevel: logLevel.NOTHING });

async function upsert(merchant: string, phone: string, key: string): Promise<Result> {
  const admin = kafka.admin();
  // kafkajs reads only as a member of a group: this one is ours alone, commits nothing, and is deleted in the end.
  const groupId = `upsert-${randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    // The worker publishes in transactions; this is kafkajs's default, said because everything rests on it.
    readUncommitted: false,
    maxWaitTimeInMs: 250, // disconnecting waits for the fetch that is under way
  });
  const producer = kafka.producer({
    // murmur2 over the key, as in Java, brings a merchant's commands to one lane. kafkajs 1 had another default.
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true,
  });
  await admin.connect();
  try {
    await Promise.all([consumer.connect(), producer.connect()]);
    const records = new EventEmitter();
    const arriving = on(records, "record", { signal: AbortSignal.timeout(PATIENCE_MS) });
    consumer.on(consumer.events.CRASH, ({ payload }) => void records.emit("error", payload.error));
    await consumer.subscribe({ topic: RESULTS });
    await consumer.run({ autoCommit: false, eachMessage: async ({ message }) => void records.emit("record", message) });
    // Without this the end would be looked up with the first fetch, when the result may be there already.
    for (const { partition, high } of await admin.fetchTopicOffsets(RESULTS)) {
      consumer.seek({ topic: RESULTS, partition, offset: high });
    }

    const command = { envelope: { merchant_id: merchant, idempotency_key: key }, command: { phone } };
    await producer.send({
      topic: `${TOPIC_PREFIX}customer-upsert`,
      acks: -1, // all
      messages: [{ key: merchant, value: JSON.stringify(command) }],
    });

    for await (const [message] of arriving) {
      if (String(message.key) !== merchant) continue;
      const result = await decode(message.value);
      if (result.idempotency_key === key) return result;
    }
    throw new Error("the results have ended");
  } finally {
    await Promise.allSettled([producer.disconnect(), consumer.disconnect()]);
    await admin.deleteGroups([groupId]).catch(() => undefined); // it may not have come into being
    await admin.disconnect();
  }
}

/** By id: a schema never changes, so it is asked for once. */
const schemas = new Map<number, avro.Type>();

// Avro's longs are wider than JavaScript's numbers.
const long = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => (buffer => (buffer.writeBigInt64LE(value), buffer))(Buffer.alloc(8)),
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === "bigint",
  compare: (a: bigint, b: bigint) => Number(a > b) - Number(a < b),
});

/** Confluent's wire format: a zero, the id of the writer's schema in four bytes, the datum. */
async function decode(value: Buffer): Promise<Result> {
  if (value[0] !== 0) throw new Error("a record that is not in Confluent's wire format");
  const id = value.readInt32BE(1);
  let type = schemas.get(id);
  if (!type) {
    const response = await fetch(`${REGISTRY_URL}/schemas/ids/${id}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) throw new Error(`the registry answers ${response.status}`);
    const { schema } = (await response.json()) as { schema: string };
    type = avro.Type.forSchema(JSON.parse(schema), { registry: { long } });
    schemas.set(id, type);
  }
  return type.fromBuffer(value.subarray(5));
}

const [merchant, phone, key = randomUUID()] = process.argv.slice(2);
if (!merchant || !phone || process.argv.length > 5) {
  console.error("usage: upsert.js MERCHANT_ID PHONE [IDEMPOTENCY_KEY]");
  process.exit(2);
}
try {
  const { status, effect, customer_id, rejection, duplicate } = await upsert(merchant, phone, key);
  const outcome = status === "accepted" ? `accepted ${effect} ${customer_id}` : `rejected ${rejection?.code}: ${rejection?.message}`;
  console.log(outcome + (duplicate ? " duplicate" : ""));
  process.exitCode = status === "accepted" ? 0 : 1;
} catch (error) {
  const reason = error instanceof Error && error.name === "AbortError" ? `no result within ${PATIENCE_MS / 1000} s` : error;
  console.error(`not known: ${reason}. Send it again, unaltered, with the idempotency key ${key}`);
  process.exitCode = 2;
}
