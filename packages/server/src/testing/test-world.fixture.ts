import { generateKeyPairSync } from "node:crypto";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestDatabase, type TestDatabase } from "@hardshare/db/testing";
import { type HostDeployment, type InstanceState, registerTranscript } from "@hardshare/protocol";
import { type Clock, type Logger, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { borrowCluster, type TemplateConnection } from "@hardshare/testkit/lending";
import { generateIdentity, signWith } from "@hardshare/wire/ssh";
import { inject } from "vitest";
import { tokenSha256 } from "../features/tokens/token-codec.ts";
import type { RateLimits } from "../http/rate-limits.ts";
import { type RunningServer, startServer } from "../start-server.ts";
import { apiOf, type Call } from "./test-api.ts";
import { TestHost } from "./test-host.ts";
import { TestHub, type TestHubAddress } from "./test-hub.ts";
import type { Identity, PeerOptions } from "./test-peer.ts";

/** What takes long to make: the PostgreSQL cluster of the whole run, and a token key for all tests of a file. */
export interface TestGround {
  template: TemplateConnection;
  tokenPem: string;
}

export async function startTestGround(): Promise<TestGround> {
  const template = await borrowCluster(inject("lender"));
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const tokenPem = pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { template, tokenPem };
}

export interface WorldOptions {
  clock?: Clock;
  logger?: Logger;
  rateLimits?: Partial<RateLimits>;
  trustedProxies?: readonly string[];
  hooksMayReach?: readonly string[];
  mailFile?: string;
}

/** A user and the API in the user's name. */
export interface TestUser {
  name: string;
  token: string;
  call: Call;
}

/** A host that is registered; `connect` may be called again after the host was disposed. */
export interface RegisteredHost {
  identity: Identity;
  options: PeerOptions;
  deploymentIds: string[];
  connect: (session?: string) => TestHost;
}

/** A real server on a database of its own, with hosts and hubs that a test moves by hand. */
export class TestWorld implements AsyncDisposable {
  readonly store: TestDatabase;
  readonly dataFolder: string;
  readonly #options: WorldOptions;
  readonly #peers: AsyncDisposable[] = [];
  #server: RunningServer;

  private constructor(options: WorldOptions, dataFolder: string, store: TestDatabase, server: RunningServer) {
    this.#options = options;
    this.dataFolder = dataFolder;
    this.store = store;
    this.#server = server;
  }

  static async start(ground: TestGround, options: WorldOptions = {}): Promise<TestWorld> {
    const dataFolder = await mkdtemp(join(tmpdir(), "server-test-"));
    await writeFile(join(dataFolder, "token-signing.pem"), ground.tokenPem, { mode: 0o600 });
    const store = await createTestDatabase(ground.template, { poolSize: 2 });
    return new TestWorld(options, dataFolder, store, await serve(dataFolder, store, options));
  }

  get server(): RunningServer {
    return this.#server;
  }

  get url(): string {
    return this.#server.url;
  }

  /** Stops the server and starts it again on the same data and, where possible, the same port. */
  async restart(): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    this.#server = await serve(this.dataFolder, this.store, this.#options, this.#server.port);
  }

  async admin(): Promise<TestUser> {
    const token = (await readFile(this.#server.adminTokenFile, "utf8")).trim();
    return { name: "admin", token, call: apiOf(this.url, token) };
  }

  /** A second replica on the same store, with the same keys and a folder of its own. */
  async startReplica(): Promise<RunningServer> {
    const folder = await mkdtemp(join(tmpdir(), "server-test-"));
    for (const file of ["token-signing.pem", "identity", "identity.pub", "sealing.key", "admin.token"]) {
      await copyFile(join(this.dataFolder, file), join(folder, file));
    }
    const replica = await serve(folder, this.store, this.#options);
    return {
      ...replica,
      async [Symbol.asyncDispose]() {
        await replica[Symbol.asyncDispose]();
        await rm(folder, { recursive: true, force: true });
      },
    };
  }

  /** Waits until `holds`; it is asked again at each wake-up of the store, so by events, not by time. */
  async moment(holds: () => Promise<boolean>): Promise<void> {
    let wake: () => void = () => {};
    using _listener = this.store.database.wakeUps.listen(() => wake());
    for (;;) {
      const woken = new Promise<void>((resolve) => (wake = resolve));
      if (await holds()) return;
      await woken;
    }
  }

  /** Waits until an instance is in this state, as its user sees it. */
  untilState(user: TestUser, id: string, state: InstanceState): Promise<void> {
    return this.moment(async () => (await user.call("GET", `/instance/${id}`)).body.status === state);
  }

  anonymous(): Call {
    return apiOf(this.url, null);
  }

  async addUser(name: string): Promise<TestUser> {
    const admin = await this.admin();
    await admin.call("POST", "/admin/users", { name });
    const { token } = (await admin.call("POST", "/admin/tokens", { user: name })).body as { token: string };
    return { name, token, call: apiOf(this.url, token) };
  }

  /** Registers deployments of one new host. */
  async registerHost(owner: TestUser, count = 1, details: Partial<HostDeployment> = {}): Promise<RegisteredHost> {
    const identity = generateIdentity("test host");
    const key = identity.publicKey.trim();
    const signature = signWith(identity.privateKey, registerTranscript("host", key, tokenSha256(owner.token)));
    const deploymentIds: string[] = [];
    let options: PeerOptions | undefined;
    for (let index = 0; index < count; index += 1) {
      const answer = await owner.call("POST", "/hardshare/register", { host: { key, name: "test host", signature } });
      if (answer.status !== 200) throw new Error(`registering failed: ${answer.text}`);
      deploymentIds.push(answer.body.id);
      options = { url: this.url, id: answer.body.host, identity, serverKey: answer.body.serverKey };
    }
    if (options === undefined) throw new Error("a host has at least one deployment");
    const peerOptions = options;
    const connect = (session?: string) => {
      const deployments = deploymentIds.map((id) => describedDeployment(id, details));
      return this.#owned(new TestHost({ ...peerOptions, ...(session === undefined ? {} : { session }) }, deployments));
    };
    return { identity, options, deploymentIds, connect };
  }

  /** Registers and connects a host with one deployment, and waits until it is told what is desired. */
  async addHost(
    owner: TestUser,
    details: Partial<HostDeployment> = {},
  ): Promise<{ host: TestHost; deploymentId: string; registered: RegisteredHost }> {
    const registered = await this.registerHost(owner, 1, details);
    const deploymentId = registered.deploymentIds[0] ?? "";
    const host = registered.connect();
    await host.until((desired) => desired.get(deploymentId));
    return { host, deploymentId, registered };
  }

  async addHub(address: Partial<TestHubAddress> = {}): Promise<TestHub> {
    const admin = await this.admin();
    const identity = generateIdentity("test hub");
    const key = identity.publicKey.trim();
    const sshHostKey = address.sshHostKey ?? generateIdentity("test hub").publicKey.trim();
    const signature = signWith(identity.privateKey, registerTranscript("hub", key, tokenSha256(admin.token)));
    const answer = await admin.call("POST", "/hubs/register", { key, sshHostKey, name: "test hub", signature });
    if (answer.status !== 200) throw new Error(`registering failed: ${answer.text}`);
    const options = { url: this.url, id: answer.body.id, identity, serverKey: answer.body.serverKey };
    const hub = new TestHub(options, { publicHost: "127.0.0.1", sshPort: 8422, firstPort: 22000, lastPort: 22099, ...address, sshHostKey });
    this.#owned(hub);
    await hub.untilConnected();
    return hub;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) await peer[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
    await rm(this.dataFolder, { recursive: true, force: true });
  }

  #owned<Peer extends AsyncDisposable>(peer: Peer): Peer {
    this.#peers.push(peer);
    return peer;
  }
}

function serve(dataFolder: string, store: TestDatabase, options: WorldOptions, port = 0): Promise<RunningServer> {
  const { clock = systemClock, logger = silentLogger, rateLimits, trustedProxies, hooksMayReach, mailFile } = options;
  return startServer({
    dataFolder,
    host: "127.0.0.1",
    port,
    databaseUrl: store.connection,
    clock,
    random: systemRandom,
    logger,
    trustedProxies,
    hooksMayReach,
    mailFile,
    rateLimits: { anonymousPerHour: 1e6, tokenPerHour: 1e6, ...rateLimits },
  });
}

/** What a host says of a deployment. */
export function describedDeployment(deploymentId: string, details: Partial<HostDeployment> = {}): HostDeployment {
  return {
    deploymentId,
    provider: "podman",
    probe: "banner",
    publicPort: true,
    maxDurationS: 3600,
    endTimeoutS: 0,
    isAdvertised: true,
    rest: null,
    closesAt: null,
    alerts: [],
    highestEpoch: 0,
    current: null,
    ...details,
  } as HostDeployment;
}

/** A public key that a user brings. */
export const USER_KEY: string = generateIdentity("test user").publicKey.trim();
