import { join } from "node:path";
import { jsonSchemas } from "@hardshare/protocol";
import { makePrivateFolder, readTextIfThere, writeFileDurably } from "@hardshare/runtime";

/** Folder of the JSON Schemas in `$HARDSHARE_HOME`; contracts lie in a folder beside it. */
const SCHEMA_FOLDER = "schemas";

/** First line of a contract that lies in `deployments/`: by it editors complete and check what is written. */
export const CONTRACT_SCHEMA_HINT = `# yaml-language-server: $schema=../${SCHEMA_FOLDER}/contract.schema.json\n`;

/** Puts the JSON Schemas of this version where the hints find them. */
export async function writeSchemaFiles(home: string): Promise<void> {
  await makePrivateFolder(join(home, SCHEMA_FOLDER));
  for (const [name, schema] of Object.entries(jsonSchemas())) {
    const path = join(home, SCHEMA_FOLDER, name);
    const text = `${JSON.stringify(schema, undefined, 2)}\n`;
    if ((await readTextIfThere(path)) !== text) await writeFileDurably(path, text);
  }
}
