import { EstopService, InstanceService, LaunchService, LockoutService, ServerCore } from "@hardshare/server/wiring";
import type { Logger } from "@hardshare/runtime";
import type { KeyPair } from "@hardshare/wire/ssh";
import { SERVER_ADDRESS } from "./simulated-hub.ts";
import type { SimulatedNetwork } from "./simulated-network.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import type { SimulatedStore, StoreConnection } from "./simulated-store.ts";

/** How long a statement of a transaction takes at most. */
const MAX_STATEMENT_MS = 2;

/** A running replica of the server, as people reach it: its routes only translate what these do. */
export interface SimulatedServer {
  readonly process: SimulatedProcess;
  readonly connection: StoreConnection;
  readonly launches: LaunchService;
  readonly instances: InstanceService;
  readonly estops: EstopService;
  readonly lockouts: LockoutService;
}

/** Runs a replica of the server in a process. */
export async function runServer(
  store: SimulatedStore,
  at: {
    process: SimulatedProcess;
    replicaId: string;
    identity: KeyPair;
    network: SimulatedNetwork;
    onStep: (name: string) => void;
    logger: Logger;
  },
): Promise<SimulatedServer> {
  const { process, replicaId, identity, network, onStep, logger } = at;
  const { clock, random } = process;
  const connection = await store.connect({
    replicaId,
    pauseAt: (point) => {
      onStep(`store.${point}`);
      return process.pass(random.fraction() ** 2 * MAX_STATEMENT_MS);
    },
  });
  process.onEnd(() => connection.kill());
  if (!process.isAlive) return process.never();
  const { database } = connection;
  const core = new ServerCore({ database, replicaId, identity, clock, random, logger });
  await core.begin();
  network.listen(SERVER_ADDRESS, process, (socket) => {
    const role = socket.path.endsWith("/hub") ? "hub" : "host";
    core.servePeer(role, socket).catch((error: unknown) => logger.info("a channel was not opened", { role, error: String(error) }));
  });
  const sealingKey = Buffer.alloc(32);
  return {
    process,
    connection,
    launches: new LaunchService({ database, clock, random, sealingKey }),
    instances: new InstanceService({ database, clock, sealingKey }),
    estops: new EstopService({ database, estops: core.estops, clock, random, logger }),
    lockouts: new LockoutService({ database, clock, random }),
  };
}
