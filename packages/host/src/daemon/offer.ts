import { AppError, type DeploymentId, toAppError } from "@hardshare/protocol";
import { type LoadedContract, loadContract, parseContract } from "../contract/load-contract.ts";
import type { HostTools } from "../instance/instance-parts.ts";

/** What holds where a contract cannot be read: nothing is given, nothing is run. */
export const NO_CONTRACT = parseContract("", "no contract", "/");

/** What a host offers as one deployment: its contract, and whether it can be kept on this computer. */
export class Offer {
  readonly #deploymentId: DeploymentId;
  /** Undefined for a deployment that is not in this host's configuration. */
  #contractFile: string | undefined;
  readonly #tools: HostTools;
  readonly #onChange: () => void;
  #contract = NO_CONTRACT;
  #isAdvertised = false;
  /** Undefined until it is known whether the contract can be kept. */
  #problem: AppError | null | undefined;

  constructor(deploymentId: DeploymentId, tools: HostTools, onChange: () => void) {
    this.#deploymentId = deploymentId;
    this.#tools = tools;
    this.#onChange = onChange;
  }

  get isConfigured(): boolean {
    return this.#contractFile !== undefined;
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

  /** The contract for the next instance. */
  get contract(): LoadedContract {
    return this.#contract;
  }

  /** Why it can't be offered; null when it can, or when that is not yet known. */
  get problem(): string | null {
    return this.#problem?.message ?? null;
  }

  /** Reads the contract anew, and looks whether it can be kept if it is advertised. Takes effect for the next instance. */
  async reload(): Promise<void> {
    try {
      if (this.#contractFile === undefined) {
        throw new AppError("not_found", "this deployment is not in the configuration of this host");
      }
      this.#contract = await loadContract(this.#contractFile);
      if (this.#isAdvertised) {
        await this.#check();
        this.#problem = null;
      }
    } catch (error) {
      this.#problem = toAppError(error);
      this.#tools.logger.warn("a deployment cannot be offered", { deployment: this.#deploymentId, problem: this.problem });
    }
    this.#onChange();
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

  /** Offers it no more; a running instance goes on. */
  close(): void {
    this.#isAdvertised = false;
    this.#onChange();
  }

  async #check(): Promise<void> {
    const { provider, image } = this.#contract.contract;
    if (provider === "proxy") return;
    if (provider === "docker") throw new AppError("engine_missing", "provider docker is not available in this version; use podman");
    if (process.geteuid?.() !== 0) {
      throw new AppError("engine_missing", "containers need the host daemon to run as root; `provider: proxy` does not");
    }
    const engine = await this.#tools.engine();
    if ((await engine.inspectImage(image)) !== undefined) return;
    throw new AppError("image_missing", `the image ${image} is not on this computer; build or pull it, then run \`hardshare ad\` again`);
  }
}
