import type { Writable } from "node:stream";
import { type AppError, toAppError } from "@hardshare/protocol";
import * as z from "zod";
import { withCommandName } from "../command-name.ts";
import { printable } from "./printable.ts";

export interface TellOptions {
  commandName: string;
  isJson: boolean;
  isVerbose: boolean;
  /** Names the error code for people too, where the exit code does not tell it. */
  namesCode?: boolean;
}

/**
 * Tells a failure on standard error, one line for people (`hardshare: what, why, what to do`) and with `--format json`
 * one for programs; its stack and causes only when asked for.
 */
export function tellFailure(error: unknown, stderr: Writable, options: TellOptions): void {
  const failure = toAppError(firstFailure(error));
  const code = options.namesCode === true ? ` [${failure.code}]` : "";
  stderr.write(`hardshare: ${withCommandName(printable(adviseOn(failure), true), options.commandName)}${code}\n`);
  if (options.isJson) writeFailureJson(failure, stderr);
  if (options.isVerbose) {
    for (let inner: unknown = error; inner instanceof Error; inner = inner.cause) stderr.write(`${inner.stack ?? inner.message}\n`);
  }
}

/** The failure itself, when ending what was in use (`using`) failed because of it as well. */
function firstFailure(error: unknown): unknown {
  let first = error;
  while (first instanceof Error && first.name === "SuppressedError" && "suppressed" in first) first = first.suppressed;
  return first;
}

/** A failure for programs: one line. */
export function writeFailureJson({ code, message, details }: AppError, stderr: Writable): void {
  stderr.write(`${JSON.stringify({ error: { code, message, details } })}\n`);
}

const LockedOut = z.object({ reason: z.string(), actor: z.string() });
const Busy = z.object({ holders: z.array(z.object({ deployment: z.string(), user: z.string(), expires: z.string() })).min(1) });

/** How many deployments of a busy type are named. */
const MAX_NAMED_HOLDERS = 5;

/** What to do, for failures whose message comes from far away and can't name a command. */
function adviseOn(failure: AppError): string {
  if (failure.code === "locked_out") {
    const facts = LockedOut.safeParse(failure.details);
    if (facts.success)
      return `the deployment is locked out by ${facts.data.actor}: ${facts.data.reason}; its owner lifts that with \`hardshare unlock\``;
  }
  if (failure.code === "busy") {
    const facts = Busy.safeParse(failure.details);
    if (facts.success) {
      const holders = facts.data.holders.map((it) => `${it.deployment} is held by ${it.user} until ${it.expires} UTC`);
      return `busy: ${holders.slice(0, MAX_NAMED_HOLDERS).join("; ")}; try again when it is free`;
    }
  }
  const advice = (failure.code === "internal" ? SYSTEM_ADVICE[systemCodeOf(failure)] : undefined) ?? ADVICE[failure.code];
  return advice === undefined || failure.message.includes("hardshare ") ? failure.message : `${failure.message}; ${advice}`;
}

/** The code of the operating system's error (errno(3)) at the root of a failure, or "". */
function systemCodeOf(failure: AppError): string {
  let inner: unknown = failure;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  const { code } = inner as { code?: unknown };
  return inner !== failure && typeof code === "string" ? code : "";
}

const SYSTEM_ADVICE: Partial<Record<string, string>> = {
  ENOSPC: "the disk is full: free some space, then try again",
  EDQUOT: "this user's share of the disk is full: free some space, then try again",
  EROFS: "the file system can only be read: choose another folder, or mount it for writing",
  EACCES: "this user may not: check who owns it, or run as that user",
  EPERM: "this user may not: check who owns it, or run as that user",
};

const ADVICE: Partial<Record<AppError["code"], string>> = {
  wrong_token: "sign in with `hardshare login --token-file FILE`",
  token_scope: "use a token without this limit: `hardshare login --token-file FILE`",
  not_found: "`hardshare search` lists the deployments, `hardshare instances --all` your instances",
  internal: "run the command again with --verbose to see where it comes from",
};
