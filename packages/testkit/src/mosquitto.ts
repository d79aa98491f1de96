import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import mqtt from "mqtt";

/** A real broker for tests, and what its subscriber to everything heard. It is the oracle of what a filter let through. */
export interface Mosquitto extends AsyncDisposable {
  readonly port: number;
  /** Of its owner; nobody gets in without. */
  readonly credentials: { readonly username: string; readonly password: string };
  /** `topic payload` of each message, in order; retained ones with `(retained)` when they were stored. */
  readonly ledger: string[];
  /** Its own publisher and subscriber, past every filter. */
  readonly device: mqtt.MqttClient;
  /** Settles when the ledger has this message. */
  heard(message: string): Promise<void>;
}

const CREDENTIALS = { username: "owner", password: "secret of the owner" };
const START_ATTEMPTS = 5;

/** Starts `mosquitto` on 127.0.0.1, which keeps nothing. */
export async function startMosquitto(): Promise<Mosquitto> {
  const folder = await mkdtemp(join(tmpdir(), "hardshare-mosquitto-"));
  const passwords = join(folder, "passwords");
  await writeFile(passwords, `${CREDENTIALS.username}:${CREDENTIALS.password}\n`, { mode: 0o600 });
  await once(spawn("mosquitto_passwd", ["-U", passwords], { stdio: "ignore" }), "exit");
  const { broker, port } = await startOnFreePort(folder, passwords);
  const device = await mqtt.connectAsync({ host: "127.0.0.1", port, protocolVersion: 5, ...CREDENTIALS });
  const ledger: string[] = [];
  const waiting = new Map<string, () => void>();
  device.on("message", (topic, payload, { retain }) => {
    const message = `${topic} ${payload.toString()}`;
    ledger.push(retain ? `${message} (retained)` : message);
    waiting.get(message)?.();
  });
  await device.subscribeAsync("#", { qos: 0, rap: true }); // so that all come in their order
  return {
    port,
    credentials: CREDENTIALS,
    ledger,
    device,
    heard: (message) =>
      new Promise((resolve) => {
        waiting.set(message, resolve);
        if (ledger.some((each) => each.replace(" (retained)", "") === message)) resolve();
      }),
    async [Symbol.asyncDispose]() {
      await device.endAsync(true);
      broker.kill("SIGKILL");
      if (broker.exitCode === null && broker.signalCode === null) await once(broker, "exit");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startOnFreePort(folder: string, passwords: string): Promise<{ broker: ChildProcess; port: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await findFreePort();
    const config = join(folder, "mosquitto.conf");
    await writeFile(
      config,
      `listener ${port} 127.0.0.1\nallow_anonymous false\npassword_file ${passwords}\npersistence false\nset_tcp_nodelay true\nuser root\nlog_dest stderr\n`,
    );
    const broker = spawn("mosquitto", ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    for await (const line of createInterface(broker.stderr)) {
      said += `${line}\n`;
      if (line.includes("running")) break;
    }
    broker.stderr.resume();
    if (said.includes("running")) return { broker, port };
    if (attempt === START_ATTEMPTS) throw new Error(`mosquitto does not start: ${said}`);
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
