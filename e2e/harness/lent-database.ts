import { copyPrivateDatabase } from "@hardshare/testkit/lending";
import { inject } from "vitest";

/** Gives a server that was not started yet the tests' database. Outside of tests, as in `npm run bench`, it makes its own. */
export async function lendDatabase(serverFolder: string): Promise<void> {
  if (process.env["VITEST"] !== undefined) await copyPrivateDatabase(inject("lender"), serverFolder);
}
