import { AppError, type DeploymentId, type DesiredDeployment, toAppError } from "@hardshare/protocol";
import { BackOff } from "@hardshare/runtime";
import { type LoadedContract, parseContract } from "../contract/load-contract.ts";
import { missingImage } from "../image/missing-image.ts";
import { isFilter } from "../instance/filter-arguments.ts";
import type { HostTools } from "../instance/instance-parts.ts";
import { requireNetworkPrograms } from "../network/network-programs.ts";

/** What holds where a contract cannot be read: nothing is given, nothing is run. */
export const NO_CONTRACT = parseContract("", "no contract", "/");

/** Delays before what may have passed by itself is tried again. */
const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 60_000;

/** What a host offers as one deployment: its contract, and whether it can be kept on this computer. */
export class Offer {
  readonly #deploymentId: DeploymentId;
  readonly #tools: HostTools;
  readonly #onChange: () => void;
  readonly #backOff: BackOff;
  /** Undefined for a deployment that is not in this host's configuration. */
  #contractFile: string | undefined;
  #contract = NO_CONTRACT;
  #isAdvertised = false;
  /** Undefined until it is known whether the contract can be kept. */
  #problem: AppError | null | undefined;
  /** Settles when the last reload that was asked for is done: one at a time. */
  #reloaded: Promise<void> = Promise.resolve();
  #retry: Disposable | undefined;
  /** Why it is never offered any more; undefined for one that may be. */
  #dissolved: AppError | undefined;
  #isPartedWith = false;

  constructor(deploymentId: DeploymentId, tools: HostTools, onChange: () => void) {
    this.#deploymentId = deploymentId;
    this.#tools = tools;
    this.#onChange = onChange;
    this.#backOff = new BackOff({ firstMs: RETRY_FIRST_MS, maxMs: RETRY_MAX_MS, random: tools.random });
  }

  get isConfigured(): boolean {
    return this.#contractFile !== undefined;
  }

  get contractFile(): string | undefined {
    return this.#contractFile;
  }

  /** Takes over where its contract is, when its configuration says so only now; `reload` reads it. */
  configure(contractFile: string): void {
    this.#contractFile = contractFile;
  }

  /** Whether its owner wants it offered. */
  get isAdvertised(): boolean {
    return this.#isAdvertised;
  }

  /** Whether it can be launched. */
  get isOpen(): boolean {
    return this.#isAdvertised && this.#problem === null;
  }

  /** Whether it is yet to be found out whether it can be launched. */
  get isUndecided(): boolean {
    return this.#isAdvertised && this.#problem === undefined;
  }

  /** Whether it was dissolved: never offered again. */
  get isDissolved(): boolean {
    return this.#dissolved !== undefined;
  }

  /** The contract for the next instance; the last one that could be read. */
  get contract(): LoadedContract {
    return this.#contract;
  }

  /** The contract as its file says now, or the last one that could be read. @throws AppError when there is neither */
  async readContractOrLast(): Promise<LoadedContract> {
    try {
      return await this.readContract();
    } catch (error) {
      if (this.#contract === NO_CONTRACT) throw error;
      return this.#contract;
    }
  }

  /** Why it can't be offered; null when it can, or when that is not yet known. */
  get problem(): string | null {
    return this.#problem?.message ?? null;
  }

  /** The contract as the file says now, which changes nothing. @throws AppError as `loadContract`, `not_found` */
  async readContract(): Promise<LoadedContract> {
    if (this.#contractFile === undefined) {
      throw new AppError("not_found", "this deployment is not in the configuration of this host");
    }
    return this.#tools.loadContract(this.#contractFile);
  }

  /** @throws AppError `config_invalid` for programs of a contract that cannot be run */
  checkPrograms(loaded: LoadedContract): Promise<void> {
    return this.#tools.checkPrograms(loaded);
  }

  /**
   * Reads the contract anew, and looks whether it can be kept if it is advertised. Takes effect for the next instance.
   * What may pass by itself, such as an engine that does not answer while the computer starts, is tried again.
   */
  reload(): Promise<void> {
    this.#reloaded = this.#reloaded.then(() => this.#look());
    return this.#reloaded;
  }

  /** Offers it as soon as it can be kept. */
  async open(): Promise<void> {
    this.#isAdvertised = true;
    await this.reload();
  }

  /** @throws AppError that says why it can't be offered; then it is not advertised either */
  async openOrThrow(): Promise<void> {
    await this.open();
    if (!(this.#problem instanceof AppError)) return;
    this.close();
    throw this.#problem;
  }

  /** Offers it never again. */
  dissolve({ actor, at, reason }: NonNullable<DesiredDeployment["dissolved"]>): void {
    if (this.#dissolved !== undefined) return;
    this.#tools.logger.warn("a deployment was dissolved", { deployment: this.#deploymentId, actor, reason });
    this.#dissolved = new AppError("dissolved", `dissolved by ${actor} (${at}): ${reason}; its contract is kept aside`);
    this.#problem = this.#dissolved;
    this.close();
  }

  /** @returns whether it was dissolved, and is to be taken out of the configuration: true once */
  partWithDissolved(): boolean {
    const isPart = this.isDissolved && !this.#isPartedWith;
    this.#isPartedWith ||= isPart;
    return isPart;
  }

  /** Offers it no more; a running instance goes on. */
  close(): void {
    this.#isAdvertised = false;
    this.#stopRetrying();
    this.#onChange();
  }

  async #look(): Promise<void> {
    this.#stopRetrying();
    try {
      if (this.#dissolved !== undefined) throw this.#dissolved;
      this.#contract = await this.readContract();
      if (this.#isAdvertised) {
        await this.#tools.checkPrograms(this.#contract);
        await this.#check();
        if (this.#contract.contract.services.some(isFilter)) this.#tools.spareFilter.prepare();
        this.#problem = null;
        this.#backOff.reset();
      }
    } catch (error) {
      this.#problem = toAppError(error);
      this.#tools.logger.warn("a deployment cannot be offered", { deployment: this.#deploymentId, problem: this.problem });
      if (this.#isAdvertised && this.#problem.shouldRetry()) {
        this.#retry = this.#tools.clock.after(this.#backOff.nextMs(), () => void this.reload());
      }
    }
    this.#onChange();
  }

  #stopRetrying(): void {
    this.#retry?.[Symbol.dispose]();
    this.#retry = undefined;
  }

  async #check(): Promise<void> {
    const { provider, image, network } = this.#contract.contract;
    if (provider === "proxy") return;
    if (process.geteuid?.() !== 0) {
      throw new AppError("engine_missing", "containers need the host daemon to run as root; `provider: proxy` does not");
    }
    if (network !== "isolated") await requireNetworkPrograms(network, this.#tools.environment);
    const engine = await this.#tools.engine(provider);
    if ((await engine.inspectImage(image)) !== undefined) return;
    throw missingImage(image, provider, "run `hardshare reload`");
  }
}
