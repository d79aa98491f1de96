import { AppError, isEstopLockout, toAppError } from "@hardshare/protocol";
import { holderOfFolder, OwnedParts, pause } from "@hardshare/runtime";
import { Journal } from "../journal/journal.ts";
import { memoryJournalFile } from "../journal/memory-journal-file.ts";
import { killContainersOfDeployment, killProcessesOfDeployment } from "../programs/labelled-processes.ts";
import { daemonStatus, pressEstop, type Stopped } from "./control-client.ts";
import { type ControlActions, ControlServer } from "./control-server.ts";
import type { DeploymentKeeper } from "./deployment-keeper.ts";
import { configuredDeployments } from "./host-daemon.ts";
import { DAEMON_LOCK, type OpenedCore, openHostCore, type Surroundings } from "./open-host-core.ts";
import { controlSocket } from "./socket-place.ts";
import { standInActions } from "./stand-in-actions.ts";

/** How long a daemon that holds the folder may take until it listens: longer than one that starts takes. */
const LISTENS_WITHIN_MS = 3000;
/** How long a daemon may take to say what it works on. */
const STATUS_WITHIN_MS = 1000;
/** Nobody is told when another process begins to listen, or ends. */
const LOOK_AGAIN_MS = 20;
/** How often a daemon that hangs is killed, each time another: whoever starts it again wins in the end. */
const MAX_KILLS = 5;

export interface EstopHereOptions extends Surroundings {
  /** Id of a deployment of this host's configuration. */
  deployment: string;
  /** Who presses, for people. */
  actor: string;
  /** Something that takes time, for people. */
  onProgress?: ((text: string) => void) | undefined;
}

export interface StoppedHere extends Stopped {
  /** `daemon`: the daemon does it; `here`: this process did, because no daemon answered. */
  by: "daemon" | "here";
}

/**
 * Ids of the deployments that can be stopped here: those of the configuration; where that cannot be read, those of the
 * running daemon, which goes by what it read before.
 * @throws AppError `config_invalid` when no daemon says what it works on
 */
export async function deploymentsHere({ home, state }: { home: string; state: string }): Promise<string[]> {
  try {
    return await configuredDeployments({ home });
  } catch (error) {
    const signal = AbortSignal.timeout(STATUS_WITHIN_MS);
    const status = await daemonStatus({ state, signal }).catch(() => undefined);
    if (status !== undefined) return status.deployments.filter(({ provider }) => provider !== null).map(({ id }) => id);
    if (toAppError(error).code === "not_configured") return [];
    throw error;
  }
}

/**
 * Stops a deployment of this host, with or without a daemon, and without a server. A daemon that hangs is killed, with
 * its filters; then this process takes its folders, makes the hardware safe, ends the instance and leaves a journal from
 * which the next daemon goes on. Where a daemon is started meanwhile, the lock of the folder decides who does it.
 * @returns when the daemon has made nothing pass any more, or when this process is done with everything
 * @throws AppError `not_found`, `not_configured`, `conflict`, `timed_out`; `config_invalid` and others when the journal cannot
 * be used: the hardware was made safe all the same, as the message says
 */
export async function estopHere(options: EstopHereOptions): Promise<StoppedHere> {
  const { state, clock } = options;
  let kills = 0;
  let waitingSinceMs = clock.monotonicMs();
  for (;;) {
    let isHung = false;
    try {
      const stopped = await pressEstop({ state, id: options.deployment, actor: options.actor });
      if (stopped !== undefined) return { ...stopped, by: "daemon" };
    } catch (error) {
      const { code } = toAppError(error);
      if (code !== "timed_out" && code !== "connection_lost") throw error;
      isHung = code === "timed_out";
    }
    const holder = await holderOfFolder({ folder: state, name: DAEMON_LOCK });
    if (holder === undefined) {
      const done = await stopWithoutDaemon(options);
      if (done !== undefined) return done;
    } else if (isHung || clock.monotonicMs() - waitingSinceMs > LISTENS_WITHIN_MS) {
      if ((kills += 1) > MAX_KILLS) throw new AppError("timed_out", "host daemons are started again and again, and none of them answers");
      options.onProgress?.(`the host daemon (process ${holder}) does not answer: it is killed`);
      kill(holder);
      waitingSinceMs = clock.monotonicMs();
    }
    await pause(clock, LOOK_AGAIN_MS, new AbortController().signal);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // gone meanwhile
  }
}

/** @returns undefined when somebody else took the folders first */
async function stopWithoutDaemon(options: EstopHereOptions): Promise<StoppedHere | undefined> {
  try {
    return await stopAsDaemon(options);
  } catch (error) {
    if (!(error instanceof NotOpened)) throw error;
    const { code, details } = error.problem;
    if (code === "conflict" && details["folder"] === options.state) return undefined;
    if (code === "conflict") throw error.problem; // a daemon that works with another state folder: waiting for it would never end
    return await stopWithoutJournal(options, error.problem);
  }
}

/** The folders of the host could not be taken over, or not be used. */
class NotOpened extends Error {
  readonly problem: AppError;

  constructor(problem: AppError) {
    super(problem.message);
    this.problem = problem;
  }
}

/** @throws NotOpened */
async function stopAsDaemon(options: EstopHereOptions): Promise<StoppedHere> {
  const { deployment, actor, state, clock } = options;
  await using parts = new OwnedParts();
  const opened = await openHostCore(options, parts).catch((error: unknown) => {
    throw new NotOpened(toAppError(error));
  });
  options.onProgress?.("no host daemon answers: this command makes the hardware safe and ends the instance itself");
  await opened.core.restoreTrials(); // a moment, so that what was left of one is stopped as well
  const presses = new Presses(opened);
  const stopped = presses.estop(deployment, actor);
  presses.restoreOthers();
  parts.own(await ControlServer.listen(controlSocket(state), presses.actions, clock));
  await presses.untilOver();
  return { ...stopped, by: "here" };
}

/**
 * Without the journal, which is damaged or on a disk that cannot be written, nobody knows what ran: all programs and
 * containers of the deployment are killed, and the hardware is made safe by the contract. Then the problem is told.
 * @throws AppError the problem, with what was done
 */
async function stopWithoutJournal(options: EstopHereOptions, problem: AppError): Promise<never> {
  const { deployment, actor, clock } = options;
  await using parts = new OwnedParts();
  const journal = await Journal.load(memoryJournalFile());
  const opened = await openHostCore(options, parts, journal).catch(() => {
    throw problem; // there is no configuration that says what is to be done
  });
  const keeper = opened.core.keepers.find(deployment);
  options.onProgress?.(`${problem.message}\nThe hardware is made safe without it`);
  const isNoSafeState = (event: string) => event !== "safe_state";
  const killed = await Promise.allSettled([
    killProcessesOfDeployment(deployment, isNoSafeState, clock),
    killContainersOfDeployment(deployment, clock),
  ]);
  keeper.estopHere(actor);
  await keeper.untilFree(false);
  const unsafe = [
    ...killed.flatMap((each) => (each.status === "rejected" ? [toAppError(each.reason).message] : [])),
    ...[...journal.state.lockouts.values()].flatMap(({ lockoutId, reason }) => (isEstopLockout(lockoutId) ? [] : [reason])),
  ];
  const outcome = unsafe.length === 0 ? "the hardware was made safe" : `the hardware may NOT be safe: ${unsafe.join("; ")}`;
  throw new AppError(problem.code, `${outcome}. This could be neither written down nor told to the server: ${problem.message}`, {
    cause: problem,
  });
}

/**
 * What is pressed while this process stands in for the daemon, as others on this computer ask: they are answered as by a
 * daemon, so that nobody takes this process for one that hangs, kills it, and interrupts what makes the hardware safe.
 */
class Presses {
  readonly #opened: OpenedCore;
  readonly #pressed = new Set<DeploymentKeeper>();
  readonly #restored = new Set<DeploymentKeeper>();
  #count = 0;
  #isOver = false;

  constructor(opened: OpenedCore) {
    this.#opened = opened;
  }

  get actions(): ControlActions {
    return standInActions(this.#opened, { reason: ONLY_ESTOP, estop: (id, actor) => this.estop(id, actor) });
  }

  estop(id: string, actor: string): Stopped {
    if (this.#isOver) throw new AppError("connection_lost", "this E-stop is over; press again");
    const keeper = this.#opened.core.keepers.find(id);
    this.#restore(keeper);
    this.#pressed.add(keeper);
    this.#count += 1;
    return { deployment: keeper.deploymentId, instance: keeper.estopHere(actor) };
  }

  /** The others lost their filters with the daemon: they are made safe too, and what can be adopted is left to the next one. */
  restoreOthers(): void {
    for (const keeper of this.#opened.core.keepers.all) this.#restore(keeper);
  }

  #restore(keeper: DeploymentKeeper): void {
    if (!this.#restored.has(keeper)) keeper.restore();
    this.#restored.add(keeper);
  }

  /** Settles when all that was pressed is done, and the others are parted from; nothing is taken any more then. */
  async untilOver(): Promise<void> {
    for (let awaited = 0; awaited !== this.#count;) {
      awaited = this.#count;
      await Promise.all([...this.#pressed].map((keeper) => keeper.untilFree(false)));
      await this.#opened.core.part(false);
    }
    this.#isOver = true;
  }
}

const ONLY_ESTOP = "no host daemon runs; `hardshare estop` makes the hardware safe and ends the instance";
