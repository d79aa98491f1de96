import type { Logger } from "@hardshare/runtime";
import { connectToServer, Endpoints, findLogin, type Login, rulesFor } from "@hardshare/hub/wiring";
import { AppError, FORWARD_PORT, type HubDesired, type HubId } from "@hardshare/protocol";
import { type KeyPair, parsePublicKey, type SshSession } from "@hardshare/wire/ssh";
import type { SimulatedNetwork } from "./simulated-network.ts";
import type { Computer, SimulatedProcess } from "./simulated-process.ts";
import { StreamTable } from "./stream-table.ts";

export const SERVER_ADDRESS = "ws://server";

const PORTS = { firstPort: 22_000, lastPort: 22_999 };
/** Probability that a stranger holds a public port. */
const PORT_TAKEN = 0.02;

export interface HubSettings {
  id: HubId;
  identity: KeyPair;
  sshHost: KeyPair;
  serverKey: string;
  /** Also its address in the network. */
  name: string;
}

/** Runs a hub in a process: its endpoints and logins are the real ones, SSH is the simulation's. */
export function runHub(
  settings: HubSettings,
  at: { process: SimulatedProcess; network: SimulatedNetwork; onStep: (name: string) => void; logger: Logger },
): void {
  const { process, network, onStep, logger } = at;
  const { id, identity, sshHost, serverKey, name } = settings;
  const { clock, random } = process;
  const endpoints = new Endpoints({
    bindHost: name,
    ...PORTS,
    bindPort: async (_address, port) => {
      await process.pass(1);
      if (random.chance(PORT_TAKEN)) throw new AppError("port_in_use", `a stranger holds port ${port}`);
      return { knockAt: null, [Symbol.dispose]() {} };
    },
    onReport: (report) => {
      onStep(`hub.report.${report.status}`);
      channel.send(report);
    },
    clock,
    random,
    logger,
  });
  const core = {
    apply: (desired: HubDesired) => {
      onStep("hub.apply");
      if (process.isAlive) endpoints.apply(desired);
    },
    reports: () => endpoints.reports(),
  };
  const channel = connectToServer(
    {
      serverUrl: SERVER_ADDRESS.replace(/^ws/, "http"),
      publicHost: name,
      sshPort: 22,
      ...PORTS,
      openSocket: (url, signal) => network.connect(process, url, signal),
      clock,
      random,
      logger,
    },
    { keys: { identity, sshHost }, registration: { id, serverKey }, core, onConnected: () => onStep("hub.connected") },
  );
  const serverBlob = parsePublicKey(serverKey).blob;
  network.listen(`${name}:22`, process, (socket, from) => {
    const table: StreamTable = new StreamTable(socket, clock, "server", (frame) => {
      // Handled after the constructor has returned: a login may have come before.
      void Promise.resolve().then(() => {
        if (frame.type !== "login") return;
        onStep("hub.login");
        const who = findLogin(endpoints, serverBlob, frame.username, parsePublicKey(frame.key).blob);
        if (who === undefined) return table.cut();
        serveSession(table, who, from);
      });
    });
  });

  function serveSession(table: StreamTable, who: Login, from: Computer): void {
    const origin = { address: `192.0.2.${from.name.length}`, port: 1 };
    // The table of the SSH library's channels is a class; endpoints use of it what the simulation's has too.
    const session = { who, ...origin, channels: table, cut: () => table.cut() } as unknown as SshSession<Login>;
    const rules = rulesFor(session, endpoints);
    table.onFrame = (frame) => {
      if (frame.type !== "forward") return;
      onStep("hub.forward");
      table.send({ type: "forwarded", isAllowed: rules.onForward("", FORWARD_PORT) });
    };
    table.onRequest = (request) => {
      const target = { host: request.host, port: 22, originAddress: origin.address, originPort: origin.port };
      rules.onStream({
        ...target,
        accept: () => request.accept() as ReturnType<Parameters<typeof rules.onStream>[0]["accept"]>,
        reject: (_code, reason) => request.reject(reason),
      });
    };
    void table.closed.then(() => rules.onClose());
  }
}
