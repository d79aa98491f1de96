import {
  type DesiredDeployment,
  type DesiredInstance,
  type Heartbeat,
  type HostDeployment,
  type HostEstop,
  type HostLockout,
  type HostReport,
  type HostToServer,
  type ReportBody,
  type ServerToHost,
  ServerToHost as ServerToHostSchema,
} from "@hardshare/protocol";
import type { ChannelClient } from "@hardshare/wire";
import { Moments } from "./moments.ts";
import { connectPeer, type PeerOptions } from "./test-peer.ts";

/** A host that does nothing by itself: it keeps what the server says and sends what the test says. */
export class TestHost implements AsyncDisposable {
  readonly moments = new Moments();
  readonly desired = new Map<string, DesiredDeployment>();
  readonly acknowledged: { instanceId: string; sequence: number }[] = [];
  readonly acknowledgedLockouts: string[] = [];
  /** Heartbeats that were handed on. */
  readonly heartbeats: Heartbeat[] = [];
  /** E-stops that came. */
  readonly estops: HostEstop[] = [];
  /** Whether it says that it has acted on an E-stop. */
  isAnsweringEstops = true;
  readonly deployments: HostDeployment[];
  desiredCount = 0;
  refusal: string | undefined;
  #sequence = 0;
  #revision = 0;
  readonly #client: ChannelClient<HostToServer>;

  constructor(options: PeerOptions, deployments: HostDeployment[]) {
    this.deployments = deployments;
    this.#client = connectPeer<ServerToHost, HostToServer>("host", options, {
      moments: this.moments,
      receive: ServerToHostSchema,
      hello: () => ({ bootId: options.bootId ?? "boot", softwareVersion: "0.1.0", deployments: this.deployments }),
      onOpen: () => {},
      onMessage: (message) => this.#keep(message),
      onRefused: (code, message) => (this.refusal = `${code}: ${message}`),
    });
  }

  /** Waits for a desired state; the first that was or is received and fits. */
  until<T>(find: (deployments: ReadonlyMap<string, DesiredDeployment>) => T | undefined | null | false): Promise<T> {
    return this.moments.until(() => find(this.desired));
  }

  /** Waits until the server wants an instance of this deployment to run or to end. */
  untilWanted(deploymentId: string, want: "run" | "end"): Promise<DesiredInstance> {
    return this.until((all) => {
      const instance = all.get(deploymentId)?.instance;
      return instance?.want === want && instance;
    });
  }

  untilRefused(): Promise<string> {
    return this.moments.until(() => this.refusal);
  }

  /** Sends a report and waits until the server has committed it. */
  async report(
    deploymentId: string,
    instance: { instanceId: string; epoch: number },
    body: ReportBody,
    sequence = ++this.#sequence,
  ): Promise<void> {
    const before = this.acknowledged.length;
    const { instanceId, epoch } = instance;
    this.#send({ type: "report", deploymentId, instanceId, epoch, sequence, at: new Date().toISOString(), body } as HostReport);
    await this.moments.until(() => this.acknowledged.length > before);
  }

  async lockOut(deploymentId: string, lockoutId: string, reason: string): Promise<void> {
    const before = this.acknowledgedLockouts.length;
    const at = new Date().toISOString();
    this.#send({ type: "lockout", lockoutId, deploymentId, reason, actor: "host", at } as HostLockout);
    await this.moments.until(() => this.acknowledgedLockouts.length > before);
  }

  /** Says again what it has, with these changes of its first deployment; resolves when the server answered with the whole desired state. */
  async describe(changes: Partial<HostDeployment> = {}): Promise<void> {
    Object.assign(this.deployments[0] ?? {}, changes);
    const before = this.desiredCount;
    this.#send({ type: "deployments", revision: ++this.#revision, deployments: this.deployments });
    await this.moments.until(() => this.desiredCount > before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  #send(message: HostToServer): void {
    if (!this.#client.send(message)) throw new Error("the test's host is not connected");
  }

  #keep(message: ServerToHost): void {
    switch (message.type) {
      case "desired":
        if (message.full) {
          this.desired.clear();
          this.desiredCount += 1;
        }
        for (const deployment of message.deployments) this.desired.set(deployment.deploymentId, deployment);
        break;
      case "report_ack":
        this.acknowledged.push({ instanceId: message.instanceId, sequence: message.sequence });
        break;
      case "lockout_ack":
        this.acknowledgedLockouts.push(message.lockoutId);
        break;
      case "estop":
        this.estops.push(message);
        if (this.isAnsweringEstops) this.#send({ type: "estop_ack", estopId: message.estopId });
        break;
      case "heartbeat":
        this.heartbeats.push(message);
        break;
      case "later":
      case "deployments_ack":
      case "challenge":
      case "welcome":
      case "refused":
        break;
    }
  }
}
