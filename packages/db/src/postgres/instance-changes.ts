import { mayFollow } from "@hardshare/core";
import { AppError, type DeploymentId, type EndReason, type InstanceId, type InstanceState, LIVE_STATES } from "@hardshare/protocol";
import type { Updateable } from "kysely";
import type { Transaction } from "../stores/database.ts";
import type { Holder } from "../stores/deployments.ts";
import type { Instance, InstanceMark, LaunchOutcome, NewInstance, ReportNumber, ReportOutcome, StateChange } from "../stores/instances.ts";
import { events } from "./events.ts";
import { toInstance } from "./instance-rows.ts";
import { releasePort } from "./public-ports.ts";
import type { InstancesTable } from "./tables.ts";
import { sqlOf } from "./transaction.ts";

/** See `InstanceStore.insertLaunch`. */
export async function insertLaunch(tx: Transaction, launch: NewInstance): Promise<LaunchOutcome> {
  const { id, deploymentId, user, at, privateKeyEncrypted, publicKeys, ...rest } = launch;
  const deployment = await sqlOf(tx)
    .selectFrom("deployments")
    .select("epochCounter")
    .where("id", "=", deploymentId)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (deployment === undefined) throw new AppError("not_found", "no workspace deployment found with given ID");
  const epoch = deployment.epochCounter + 1;
  const row = await sqlOf(tx)
    .insertInto("instances")
    .values({
      ...rest,
      ...UNKNOWN_YET,
      id,
      deploymentId,
      epoch,
      userName: user,
      state: "INIT",
      publicKeys: [...publicKeys],
      privateKeyEncrypted: privateKeyEncrypted === null ? null : Buffer.from(privateKeyEncrypted),
      startedAt: at,
    })
    // The index `live_instances` is the exclusivity.
    .onConflict((conflict) => conflict.column("deploymentId").where("state", "in", LIVE_STATES).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) {
    const holder = await findHolder(tx, deploymentId);
    return holder === undefined ? await insertLaunch(tx, launch) : { kind: "busy", holder }; // it may have ended just now
  }
  await sqlOf(tx)
    .updateTable("deployments")
    .set((eb) => ({ epochCounter: epoch, instanceCount: eb("instanceCount", "+", 1) }))
    .where("id", "=", deploymentId)
    .execute();
  await events.append(tx, { at, deploymentId, instanceId: id, kind: "state", actor: user, data: { state: "INIT", epoch } });
  return { kind: "launched", instance: toInstance(row) };
}

const UNKNOWN_YET = {
  acceptedAt: null,
  upAt: null,
  endpointOpenAt: null,
  probedAt: null,
  readyAt: null,
  endingAt: null,
  endedAt: null,
  endReason: null,
  failedStep: null,
  failedLog: null,
} as const;

async function findHolder(tx: Transaction, deploymentId: DeploymentId): Promise<Holder | undefined> {
  return await sqlOf(tx)
    .selectFrom("instances")
    .select(["id as instanceId", "userName as user", "state", "startedAt", "deadline"])
    .where("deploymentId", "=", deploymentId)
    .where("state", "in", LIVE_STATES)
    .executeTakeFirst();
}

/** See `InstanceStore.changeState`. */
export async function changeState(tx: Transaction, change: StateChange): Promise<Instance | null> {
  const { instanceId, from, to, at, actor, reason, failedStep, failedLog } = change;
  if (!mayFollow(from, to)) throw new AppError("internal", `An instance can't go from ${from} to ${to}`, { details: { instanceId } });
  const row = await sqlOf(tx)
    .updateTable("instances")
    .set((eb) => ({
      ...changesOf(to, at),
      // The first reason is the true one; later ones are consequences.
      ...(reason === undefined ? {} : { endReason: eb.fn.coalesce("endReason", eb.cast<EndReason>(eb.val(reason), "text")) }),
      ...(failedStep === undefined ? {} : { failedStep }),
      ...(failedLog === undefined ? {} : { failedLog }),
    }))
    .where("id", "=", instanceId)
    .where("state", "=", from)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) return null;
  const instance = toInstance(row);
  const { deploymentId, hubId, publicPort } = instance;
  if (instance.endedAt !== null && publicPort !== null) await releasePort(tx, { hubId, port: publicPort, at });
  const data = { state: to, ...(reason === undefined ? {} : { reason }), ...(failedStep === undefined ? {} : { step: failedStep }) };
  await events.append(tx, { at, deploymentId, instanceId, kind: "state", actor, data });
  return instance;
}

function changesOf(to: InstanceState, at: Date): Updateable<InstancesTable> {
  switch (to) {
    case "INIT":
      return { state: to };
    case "READY":
      return { state: to, readyAt: at };
    case "TERMINATING":
      return { state: to, endingAt: at, privateKeyEncrypted: null };
    case "TERMINATED":
    case "INIT_FAIL":
      return { state: to, endedAt: at, privateKeyEncrypted: null };
  }
}

/** See `InstanceStore.mark`. */
export async function mark(
  tx: Transaction,
  { instanceId, epoch, mark: what, at }: { instanceId: InstanceId; epoch: number; mark: InstanceMark; at: Date },
): Promise<Instance | null> {
  const row = await sqlOf(tx)
    .updateTable("instances")
    .set((eb) => {
      if (what.kind === "estop") return { endReason: "estop" };
      const column = MARK_COLUMNS[what.kind];
      return {
        [column]: eb.fn.coalesce(column, eb.cast<Date>(eb.val(at), "timestamptz")),
        ...(what.kind === "up" ? { hostKeys: [...what.hostKeys] } : {}),
      };
    })
    .where("id", "=", instanceId)
    .where("epoch", "=", epoch)
    .where("state", "in", LIVE_STATES)
    .returningAll()
    .executeTakeFirst();
  return row === undefined ? null : toInstance(row);
}

const MARK_COLUMNS = {
  accepted: "acceptedAt",
  up: "upAt",
  endpoint_open: "endpointOpenAt",
  probed: "probedAt",
} as const satisfies Record<Exclude<InstanceMark["kind"], "estop">, keyof InstancesTable>;

/** See `InstanceStore.recordReport`. */
export async function recordReport(tx: Transaction, report: ReportNumber): Promise<ReportOutcome> {
  const { instanceId, deploymentId, epoch, hostId, sequence } = report;
  const recorded = await sqlOf(tx)
    .updateTable("instances")
    .from("deployments")
    .set({ lastSequence: sequence })
    .whereRef("deployments.id", "=", "instances.deploymentId")
    .where("instances.id", "=", instanceId)
    .where("instances.deploymentId", "=", deploymentId)
    .where("instances.epoch", "=", epoch)
    .where("instances.lastSequence", "<", sequence)
    .where("deployments.hostId", "=", hostId)
    .returningAll("instances")
    .executeTakeFirst();
  if (recorded !== undefined) return { kind: "recorded", instance: toInstance(recorded) };
  const known = await sqlOf(tx)
    .selectFrom("instances")
    .innerJoin("deployments", "deployments.id", "instances.deploymentId")
    .selectAll("instances")
    .where("instances.id", "=", instanceId)
    .where("instances.deploymentId", "=", deploymentId)
    .where("instances.epoch", "=", epoch)
    .where("deployments.hostId", "=", hostId)
    .forNoKeyUpdate("instances")
    .executeTakeFirst();
  return known === undefined ? { kind: "unknown" } : { kind: "repeated", instance: toInstance(known) };
}
