// Reads an AsyncAPI document by AsyncAPI's own parser, and its examples by its own schemas: the parser looks at neither Avro's names nor
// at examples in a document of version 3.
"use strict";
const { readFileSync } = require("node:fs");
const { Parser } = require("@asyncapi/parser");
const { AvroSchemaParser } = require("@asyncapi/avro-schema-parser");
const Ajv = require("ajv");
const addFormats = require("ajv-formats");
const avsc = require("avsc");

const ERROR = 0; // the parser's severities: error, warning, information, hint

async function problemsOf(text) {
  const parser = new Parser();
  parser.registerSchemaParser(AvroSchemaParser());
  const { diagnostics } = await parser.parse(text);
  const errors = diagnostics.filter((found) => found.severity === ERROR);
  if (errors.length > 0) {
    // the parser tells an error again at every reference to its place
    const byMessage = new Map(errors.reverse().map((found) => [found.message, found]));
    return [...byMessage.values()].map((found) => `${found.path.join(".")}: ${found.message} (${found.code})`);
  }
  const problems = [];
  for (const [name, message] of Object.entries(JSON.parse(text).components.messages)) {
    try {
      problems.push(...exampleProblems(message).map((problem) => `${name}: ${problem}`));
    } catch (error) {
      problems.push(`${name}: ${error.message}`); // its schema is none
    }
  }
  return problems;
}

function exampleProblems({ payload = true, headers = true, examples = [] }) {
  const json = addFormats(new Ajv({ strict: false, allErrors: true }));
  const by = (schema) => {
    const validate = json.compile(schema);
    return (value) => (validate(value) ? [] : validate.errors.map((error) => `${error.instancePath} ${error.message}`));
  };
  const ofPayload = payload.schemaFormat ? byAvro(payload.schema) : by(payload);
  const ofHeaders = by(headers);
  return examples.flatMap((example, index) => {
    const found = "payload" in example ? ofPayload(example.payload) : [];
    found.push(...("headers" in example ? ofHeaders(example.headers) : []));
    return found.map((problem) => `example ${index}: ${problem}`);
  });
}

function byAvro(schema) {
  const type = avsc.Type.forSchema(schema);
  return (value) => {
    const found = [];
    const errorHook = (path, _, wanted) => found.push(`/${path.join("/")} is not of the type ${wanted}`);
    type.isValid(value, { noUndeclaredFields: true, errorHook });
    return found;
  };
}

async function main([path]) {
  const problems = await problemsOf(readFileSync(path, "utf8"));
  problems.forEach((problem) => console.error(`${path}: ${problem}`));
  process.exitCode = problems.length > 0 ? 1 : 0;
}

main(process.argv.slice(2));
