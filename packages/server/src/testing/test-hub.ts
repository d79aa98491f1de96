import {
  type DesiredEndpoint,
  type EndpointReport,
  type EndpointStatus,
  type HubToServer,
  type ServerToHub,
  ServerToHub as ServerToHubSchema,
} from "@hardshare/protocol";
import type { ChannelClient } from "@hardshare/wire";
import { Moments } from "./moments.ts";
import { connectPeer, type PeerOptions } from "./test-peer.ts";

export interface TestHubAddress {
  publicHost: string;
  sshPort: number;
  firstPort: number;
  lastPort: number;
  sshHostKey: string;
}

/** A hub without SSH: it keeps which endpoints should be open and says of each what `answer` says. */
export class TestHub implements AsyncDisposable {
  readonly moments = new Moments();
  readonly endpoints = new Map<string, DesiredEndpoint>();
  readonly closed: string[] = [];
  refusal: string | undefined;
  isOpen = false;
  /** What it reports of an endpoint when it is told to open it. */
  answer: (endpoint: DesiredEndpoint) => readonly EndpointStatus[] = () => ["open", "probed"];
  readonly options: PeerOptions;
  readonly address: TestHubAddress;
  readonly #client: ChannelClient<HubToServer>;

  constructor(options: PeerOptions, address: TestHubAddress) {
    this.options = options;
    this.address = address;
    this.#client = connectPeer<ServerToHub, HubToServer>("hub", options, {
      moments: this.moments,
      receive: ServerToHubSchema,
      hello: () => ({ softwareVersion: "0.1.0", ...address }),
      onOpen: () => (this.isOpen = true),
      onMessage: (message) => this.#keep(message),
      onRefused: (code, message) => (this.refusal = `${code}: ${message}`),
    });
  }

  until<T>(find: (endpoints: ReadonlyMap<string, DesiredEndpoint>) => T | undefined | null | false): Promise<T> {
    return this.moments.until(() => find(this.endpoints));
  }

  untilConnected(): Promise<true> {
    return this.moments.until(() => this.isOpen || undefined);
  }

  untilRefused(): Promise<string> {
    return this.moments.until(() => this.refusal);
  }

  report(
    endpoint: Pick<DesiredEndpoint, "instanceId" | "epoch" | "publicPort">,
    status: EndpointStatus,
    more: Pick<EndpointReport, "highestEpoch"> = {},
  ): void {
    const { instanceId, epoch, publicPort } = endpoint;
    this.#client.send({ type: "endpoint", instanceId, epoch, publicPort, status, ...more });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  #keep(message: ServerToHub): void {
    if (message.type !== "desired") return;
    if (message.full) this.endpoints.clear();
    for (const endpoint of message.endpoints) {
      const known = this.endpoints.get(endpoint.instanceId);
      this.endpoints.set(endpoint.instanceId, endpoint);
      if (known?.publicPort === endpoint.publicPort) continue;
      for (const status of this.answer(endpoint)) this.report(endpoint, status);
    }
    for (const { instanceId } of message.closed) {
      this.endpoints.delete(instanceId);
      this.closed.push(instanceId);
    }
  }
}
