import * as z from "zod";
import { Contract } from "./contract/contract.ts";
import { HttpFilterRules } from "./filter-rules/http.ts";
import { RosbridgeFilterRules } from "./filter-rules/rosbridge.ts";
import { RpcFilterRules } from "./filter-rules/rpc.ts";
import { SerialFilterRules } from "./filter-rules/serial.ts";
import { MqttFilterRules } from "./filter-rules/mqtt.ts";
import { TcpFilterRules } from "./filter-rules/tcp.ts";

/** A JSON Schema, as plain data. */
export type JsonSchemaFile = Record<string, unknown>;

/**
 * JSON Schemas (draft 2020-12) of the files that an owner writes, for editors: name of the schema file → schema. They
 * describe a file as it is written, before defaults are filled in; what spans several fields is checked by hardshare alone.
 */
export function jsonSchemas(): Record<string, JsonSchemaFile> {
  return {
    "contract.schema.json": jsonSchemaOf(Contract, "hardshare contract of a deployment"),
    "http-rules.schema.json": jsonSchemaOf(HttpFilterRules, "hardshare rules of the http filter"),
    "rosbridge-rules.schema.json": jsonSchemaOf(RosbridgeFilterRules, "hardshare rules of the rosbridge filter"),
    "mqtt-rules.schema.json": jsonSchemaOf(MqttFilterRules, "hardshare rules of the mqtt filter"),
    "serial-rules.schema.json": jsonSchemaOf(SerialFilterRules, "hardshare rules of the serial filter"),
    "rpc-rules.schema.json": jsonSchemaOf(RpcFilterRules, "hardshare rules of the rpc filter"),
    "tcp-rules.schema.json": jsonSchemaOf(TcpFilterRules, "hardshare rules of the tcp filter"),
  };
}

function jsonSchemaOf(schema: z.ZodType, title: string): JsonSchemaFile {
  const json = z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === "undefined") jsonSchema.not = {}; // the field must not be there
    },
  });
  return { title, ...json };
}
