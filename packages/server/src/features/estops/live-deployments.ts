import type { DesiredAtHost } from "@hardshare/db";
import type { DeploymentId, HostDeployment, HostId, HubId, InstanceId } from "@hardshare/protocol";

/** What this replica knows of a deployment without asking the store: as its host was last told. */
export interface LiveDeployment {
  deploymentId: DeploymentId;
  owner: string;
  hostId: HostId | null;
  /** The instance that its host is to run or to end. */
  live: LiveInstance | null;
}

interface LiveInstance {
  instanceId: InstanceId;
  epoch: number;
  user: string;
  hubId: HubId;
}

/** The deployments of all hosts that were connected here. */
export class LiveDeployments {
  readonly #known = new Map<DeploymentId, LiveDeployment>();
  /** What each host says of deployments, which need not be its own. */
  readonly #deadManS = new Map<HostId, ReadonlyMap<DeploymentId, number>>();
  readonly #lockedOut = new Set<DeploymentId>();
  readonly #byInstance = new Map<InstanceId, LiveDeployment>();

  /** Takes over what a host says of itself, all of it. */
  describe(hostId: HostId, described: readonly HostDeployment[]): void {
    const windows = new Map<DeploymentId, number>();
    for (const { deploymentId, deadManS } of described) if (deadManS !== undefined) windows.set(deploymentId, deadManS);
    this.#deadManS.set(hostId, windows);
  }

  /** Window of the dead-man's switch of the instance that runs, as its own host said; undefined for none. */
  deadManS(id: DeploymentId): number | undefined {
    const hostId = this.#known.get(id)?.hostId ?? null;
    return hostId === null ? undefined : this.#deadManS.get(hostId)?.get(id);
  }

  /** Takes over what a host is told. */
  learn(hostId: HostId, told: readonly DesiredAtHost[]): void {
    for (const { deploymentId, owner, wanted, lockout } of told) {
      if (lockout === null) this.#lockedOut.delete(deploymentId);
      else this.#lockedOut.add(deploymentId);
      const former = this.#known.get(deploymentId)?.live;
      if (former != null) this.#byInstance.delete(former.instanceId);
      const { id, epoch, user, hubId } = wanted?.instance ?? {};
      const live =
        id === undefined || epoch === undefined || user === undefined || hubId === undefined
          ? null
          : { instanceId: id, epoch, user, hubId };
      const known = { deploymentId, owner, hostId, live };
      this.#known.set(deploymentId, known);
      if (live !== null) this.#byInstance.set(live.instanceId, known);
    }
  }

  isLockedOut(id: DeploymentId): boolean {
    return this.#lockedOut.has(id);
  }

  ofDeployment(id: DeploymentId): LiveDeployment | undefined {
    return this.#known.get(id);
  }

  ofInstance(id: InstanceId): LiveDeployment | undefined {
    return this.#byInstance.get(id);
  }
}
