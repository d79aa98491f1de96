/**
 * What the files of a test run share, because it takes long to make: a Docker, a PostgreSQL cluster in which each makes
 * databases of its own, and a private database that each server gets a copy of. `lender.ts` lends it. Must not be loaded by what users run.
 */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import type { createTestDatabase } from "@hardshare/db/testing";

/** What is asked for, and what it is answered with. */
export interface Loans {
  /** A Docker that runs. */
  docker: DockerAnswer;
  /** The same with the image of instances. */
  image: DockerAnswer;
  cluster: TemplateConnection;
  /** A server's data folder with a database that has no rows, to be copied. */
  privateDatabase: string;
}

/** Its address as DOCKER_HOST says it, or why there is none. */
export interface DockerAnswer {
  host?: string | undefined;
  problem?: string | undefined;
}

/** Of the database that those of tests are copied from. */
export type TemplateConnection = Parameters<typeof createTestDatabase>[0];

/** Starts the shared Docker if it does not run yet. @param lender `inject("lender")` */
export function borrowDocker(lender: string, request: "docker" | "image" = "docker"): Promise<DockerAnswer> {
  return borrow(lender, request);
}

/** Starts the shared PostgreSQL if it does not run yet. @param lender `inject("lender")` */
export function borrowCluster(lender: string): Promise<TemplateConnection> {
  return borrow(lender, "cluster");
}

/** Gives a server that was not started yet a database, which it would make at its start. @param lender `inject("lender")` */
export async function copyPrivateDatabase(lender: string, dataFolder: string): Promise<void> {
  const from = await borrow(lender, "privateDatabase");
  await mkdir(dataFolder, { recursive: true });
  await promisify(execFile)("cp", ["--archive", `${from}/.`, dataFolder]); // its files belong to PostgreSQL's own user
}

async function borrow<What extends keyof Loans>(lender: string, what: What): Promise<Loans[What]> {
  const socket = connect({ path: lender, allowHalfOpen: true });
  await once(socket, "connect");
  socket.write(what);
  const answer = await text(socket);
  socket.end();
  const { loan, failure } = JSON.parse(answer) as { loan?: Loans[What]; failure?: string };
  if (loan === undefined) throw new Error(failure);
  return loan;
}
