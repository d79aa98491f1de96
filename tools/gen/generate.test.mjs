import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CHECK_CATALOGUE,
  Contract,
  ERROR_CATALOGUE,
  HttpFilterRules,
  MqttFilterRules,
  jsonSchemas,
  RosbridgeFilterRules,
  RpcFilterRules,
  SerialFilterRules,
  TcpFilterRules,
} from "@hardshare/protocol";
import { expect, test } from "vitest";
import { checksPage } from "./checks-page.mjs";
import { contractPage } from "./contract-page.mjs";
import { errorsPage } from "./errors-page.mjs";
import { importTable } from "./import-table.mjs";
import { fillMarker } from "./markdown.mjs";
import { rulesPage } from "./rules-page.mjs";
import { updateFiles } from "./update-files.mjs";

test("the error page has every code with its meaning", () => {
  const page = errorsPage();
  for (const [code, { meaning }] of Object.entries(ERROR_CATALOGUE)) {
    const row = page.split("\n").find((line) => line.startsWith(`| \`${code}\` |`));
    expect(row, code).toContain(meaning);
  }
});

test("the page of checks has every code with what to do", () => {
  const page = checksPage();
  for (const [code, { meaning, fix }] of Object.entries(CHECK_CATALOGUE)) {
    const row = page.split("\n").find((line) => line.startsWith(`| \`${code}\` |`));
    expect(row, code).toContain(meaning);
    expect(row, code).toContain(fix);
  }
});

test("the contract page explains every field that an owner can write", () => {
  const page = contractPage();
  for (const field of Object.keys(Contract.shape)) {
    expect(page).toContain(`| \`${field}\` |`);
    expect(
      jsonSchemas()["contract.schema.json"].properties[field].description,
      `${field} needs .describe() in protocol's contract.ts`,
    ).toBeTruthy();
  }
});

test("the page of filter rules explains every field of a rules file", () => {
  const page = rulesPage();
  for (const [schema, name] of [
    [HttpFilterRules, "http-rules.schema.json"],
    [RosbridgeFilterRules, "rosbridge-rules.schema.json"],
    [SerialFilterRules, "serial-rules.schema.json"],
    [RpcFilterRules, "rpc-rules.schema.json"],
    [TcpFilterRules, "tcp-rules.schema.json"],
    [MqttFilterRules, "mqtt-rules.schema.json"],
  ]) {
    for (const field of Object.keys(schema.shape)) {
      expect(page).toContain(`| \`${field}\` |`);
      expect(jsonSchemas()[name].properties[field].description, `${field} needs .describe() in protocol's filter-rules`).toBeTruthy();
    }
  }
});

test("the import table names what a room may import and why not the rest", () => {
  const room = {
    folders: ["packages/low"],
    ours: [],
    lazily: ["kit"],
    modules: ["zod"],
    node: false,
    bans: [{ what: ["*"], because: "browsers" }],
  };
  const tools = { ...room, folders: ["tools"] };
  expect(importTable({ rooms: { low: room, tools } })).toMatchInlineSnapshot(`
    "| room | may import of ours | other modules | must not, because |
    | --- | --- | --- | --- |
    | \`low\` | nothing; by \`import()\` where used: kit | zod | anything else: browsers |"
  `);
});

test("a page without its marker is an error that says which lines are expected", () => {
  expect(() => fillMarker("# Page\n", "imports", "table")).toThrow("<!-- imports --> and <!-- /imports -->");
});

test("stale files are named, and written only when asked", async () => {
  const root = await mkdtemp(join(tmpdir(), "hardshare-gen-"));
  try {
    await writeFile(join(root, "same.md"), "same");
    const files = new Map([
      ["same.md", "same"],
      ["deep/new.md", "new"],
    ]);
    expect(await updateFiles(root, files, { write: false })).toEqual(["deep/new.md"]);
    expect(await updateFiles(root, files, { write: true })).toEqual(["deep/new.md"]);
    expect(await readFile(join(root, "deep/new.md"), "utf8")).toBe("new");
    expect(await updateFiles(root, files, { write: false })).toEqual([]);
  } finally {
    await rm(root, { recursive: true });
  }
});
