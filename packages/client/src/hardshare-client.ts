import {
  AccessRulesList,
  AlertAnswer,
  type AccessRule,
  type Capability,
  DeploymentsList,
  DeploymentView,
  EmailHooksAnswer,
  EstopAnswer,
  type FirewallAction,
  FirewallList,
  HooksView,
  DissolvedAnswer,
  HubsList,
  InstanceKey,
  InstancesList,
  InstanceView,
  LaunchAnswer,
  type LaunchOptions,
  NewAccessRuleAnswer,
  type NewDeployment,
  NewDeploymentAnswer,
  NewTokenAnswer,
  OwnedDeployments,
  type Parsed,
  type TimelineEvent,
  UsersList,
  WebhookAnswer,
  WhoAmI,
  WorkspaceTypes,
} from "@hardshare/protocol";
import { type ConnectionOptions, HttpConnection, readLimited } from "./http-connection.ts";
import { followInstance, type InstanceEventsOptions } from "./instance-events.ts";

/** Milliseconds for a launch request, which may wait for the store. */
const LAUNCH_TIMEOUT_MS = 30_000;

export interface DeploymentsQuery {
  /** Text to look for in id, type and description. */
  q?: string;
  /** Types, comma-separated. */
  types?: string;
}

export interface InstancesQuery {
  /** Also instances that have ended. */
  includeEnded?: boolean;
}

/**
 * The HTTP API of a hardshare server, typed. Every method throws `AppError`: with the server's own code, or
 * `server_unreachable`, `timed_out`, `protocol_violation`.
 */
export class HardshareClient {
  readonly #connection: HttpConnection;

  /** @throws AppError `bad_input` when `url` is no http(s) URL */
  constructor(options: ConnectionOptions) {
    this.#connection = new HttpConnection(options);
  }

  get url(): string {
    return this.#connection.url;
  }

  // Who am I

  whoami(): Promise<Parsed<typeof WhoAmI>> {
    return this.#connection.json("GET", "/whoami", WhoAmI);
  }

  /** Makes a token invalid for ever. @param sha256 its SHA-256 in hexadecimal */
  async revokeToken(sha256: string): Promise<void> {
    await this.#connection.text("POST", `/revoke/${encodeURIComponent(sha256)}`);
  }

  // Looking for robots

  async workspaceTypes(): Promise<string[]> {
    return (await this.#connection.json("GET", "/workspaces", WorkspaceTypes)).workspace_types;
  }

  /** All deployments that match, with their facts in `info`. */
  deployments(query: DeploymentsQuery = {}): Promise<DeploymentsList> {
    return this.#connection.json("GET", "/deployments", DeploymentsList, { query: { ...query, info: "t", max_per_page: 0 } });
  }

  deployment(id: string): Promise<DeploymentView> {
    return this.#connection.json("GET", `/deployment/${encodeURIComponent(id)}`, DeploymentView);
  }

  // Instances

  /** Requests an instance of a deployment (by id) or of any deployment of a type. */
  launch(idOrType: string, options: LaunchOptions = {}): Promise<LaunchAnswer> {
    return this.#connection.json("POST", `/new/${encodeURIComponent(idOrType)}`, LaunchAnswer, {
      body: options,
      timeoutMs: LAUNCH_TIMEOUT_MS,
    });
  }

  /** The caller's instances: ids, and the id of the deployment of each at the same place. */
  async instances(query: InstancesQuery = {}): Promise<{ id: string; deployment: string }[]> {
    const list = await this.#connection.json("GET", "/instances", InstancesList, {
      query: { max_per_page: 0, ...(query.includeEnded ? { include_terminated: "t", include_init_fail: "t" } : {}) },
    });
    return list.workspace_instances.flatMap((id, index) =>
      typeof id === "string" ? [{ id, deployment: list.workspace_deployments[index] ?? "" }] : [],
    );
  }

  instance(id: string): Promise<InstanceView> {
    return this.#connection.json("GET", `/instance/${encodeURIComponent(id)}`, InstanceView);
  }

  /** The private key (PEM) that the server made for an instance whose user gave no public key. */
  async instanceKey(id: string): Promise<string> {
    return (await this.#connection.json("GET", `/instance/${encodeURIComponent(id)}/sshkey`, InstanceKey)).key;
  }

  /** The timeline of an instance, from its beginning until its last state. */
  instanceEvents(id: string, options: InstanceEventsOptions = {}): AsyncGenerator<TimelineEvent> {
    return followInstance(this.#connection, encodeURIComponent(id), options);
  }

  /** Ends an instance of the caller; in INIT this cancels the launch. Returns before it has ended. */
  async terminate(id: string): Promise<void> {
    await this.#connection.text("POST", `/terminate/${encodeURIComponent(id)}`);
  }

  /**
   * Presses E-stop for an instance, as its user or the owner of its deployment: nothing reaches the hardware any more, the
   * owner's programs make it safe, and the instance ends.
   */
  estopInstance(id: string): Promise<EstopAnswer> {
    return this.#connection.json("POST", `/instance/${encodeURIComponent(id)}/estop`, EstopAnswer);
  }

  /** Presses E-stop for a deployment, as its owner, whether or not there is an instance. It is locked out. */
  estopDeployment(id: string): Promise<EstopAnswer> {
    return this.#connection.json("POST", `/deployment/${encodeURIComponent(id)}/estop`, EstopAnswer);
  }

  // Firewall of an instance

  async firewallRules(instanceId: string): Promise<Parsed<typeof FirewallList>["rules"]> {
    return (await this.#connection.json("GET", `/firewall/${encodeURIComponent(instanceId)}`, FirewallList)).rules;
  }

  /** @param rule `src`: an address or subnet in CIDR notation; absent: the caller's own address */
  async addFirewallRule(instanceId: string, rule: { src?: string; action: FirewallAction }): Promise<void> {
    await this.#connection.text("POST", `/firewall/${encodeURIComponent(instanceId)}`, { body: rule });
  }

  /** Removes all rules; afterwards nobody may connect until a rule says so. */
  async flushFirewall(instanceId: string): Promise<void> {
    await this.#connection.text("DELETE", `/firewall/${encodeURIComponent(instanceId)}`);
  }

  // Sharing robots

  registerDeployment(deployment: Parsed<typeof NewDeployment>): Promise<Parsed<typeof NewDeploymentAnswer>> {
    return this.#connection.json("POST", "/hardshare/register", NewDeploymentAnswer, { body: deployment });
  }

  /** The hubs that are connected, for owners whose hosts are to reach them. */
  async hubs(): Promise<Parsed<typeof HubsList>["hubs"]> {
    return (await this.#connection.json("GET", "/hubs", HubsList)).hubs;
  }

  /** The server's time in whole seconds, as it says when it answers this caller; undefined when it does not say. */
  async serverTime(): Promise<Date | undefined> {
    const answer = await this.#connection.open("GET", "/whoami");
    await readLimited(answer, "GET /whoami");
    const time = Date.parse(answer.headers.get("date") ?? "");
    return Number.isNaN(time) ? undefined : new Date(time);
  }

  /** The caller's deployments. @param query.withDissolved also those that were dissolved */
  ownedDeployments(query: { withDissolved?: boolean } = {}): Promise<Parsed<typeof OwnedDeployments>> {
    const withDissolved = query.withDissolved === true ? { with_dissolved: "t" } : {};
    return this.#connection.json("GET", "/hardshare/list", OwnedDeployments, { query: withDissolved });
  }

  /** Takes a deployment out of use for ever. @param how.force ends a running instance; else it is refused (`busy`) */
  dissolve(deploymentId: string, how: { reason?: string | undefined; force?: boolean } = {}): Promise<Parsed<typeof DissolvedAnswer>> {
    return this.#connection.json("POST", `/hardshare/dis/${encodeURIComponent(deploymentId)}`, DissolvedAnswer, { body: how });
  }

  async accessRules(deploymentId: string): Promise<AccessRule[]> {
    return (await this.#connection.json("GET", `/deployment/${encodeURIComponent(deploymentId)}/rules`, AccessRulesList)).rules;
  }

  /** @returns the number of the rule, also of one that was there before */
  async addAccessRule(deploymentId: string, rule: { cap: Capability; user: string }): Promise<number> {
    const path = `/deployment/${encodeURIComponent(deploymentId)}/rule`;
    return (await this.#connection.json("POST", path, NewAccessRuleAnswer, { body: rule })).rule_id;
  }

  async deleteAccessRule(deploymentId: string, ruleId: number): Promise<void> {
    await this.#connection.text("DELETE", `/deployment/${encodeURIComponent(deploymentId)}/rule/${ruleId}`);
  }

  async lock(deploymentId: string, reason?: string): Promise<void> {
    await this.#connection.text("POST", `/deployment/${encodeURIComponent(deploymentId)}/lockout`, {
      body: reason === undefined ? {} : { reason },
    });
  }

  async unlock(deploymentId: string): Promise<void> {
    await this.#connection.text("DELETE", `/deployment/${encodeURIComponent(deploymentId)}/lockout`);
  }

  /** The owner ends an instance on a deployment of theirs, whoever uses it. Returns before it has ended. */
  async forceTerminate(instanceId: string): Promise<void> {
    await this.#connection.text("POST", `/hardshare/terminate/${encodeURIComponent(instanceId)}`);
  }

  /** Where alerts of a deployment of the caller go. */
  hooks(deploymentId: string): Promise<Parsed<typeof HooksView>> {
    return this.#connection.json("GET", `/deployment/${encodeURIComponent(deploymentId)}/hooks`, HooksView);
  }

  /** Has alerts mailed to these addresses, in place of those before. @returns `warning`: why nothing will be mailed */
  setEmailHooks(deploymentId: string, emails: readonly string[]): Promise<Parsed<typeof EmailHooksAnswer>> {
    return this.#connection.json("POST", `/hardshare/hook/email/${encodeURIComponent(deploymentId)}`, EmailHooksAnswer, {
      body: { emails },
    });
  }

  /** Has alerts posted to this URL, in place of the one before; null: nowhere. @returns the secret of a new one, told only now */
  setWebhook(deploymentId: string, url: string | null): Promise<Parsed<typeof WebhookAnswer>> {
    return this.#connection.json("POST", `/deployment/${encodeURIComponent(deploymentId)}/hook/webhook`, WebhookAnswer, { body: { url } });
  }

  /** Tells all hooks of a deployment. */
  alert(deploymentId: string, message: string): Promise<Parsed<typeof AlertAnswer>> {
    return this.#connection.json("POST", `/deployment/${encodeURIComponent(deploymentId)}/alert`, AlertAnswer, { body: { msg: message } });
  }

  // Administration (superuser)

  async addUser(name: string): Promise<void> {
    await this.#connection.text("POST", "/admin/users", { body: { name } });
  }

  async users(): Promise<Parsed<typeof UsersList>["users"]> {
    return (await this.#connection.json("GET", "/admin/users", UsersList)).users;
  }

  issueToken(request: { user: string; days?: number; superuser?: boolean }): Promise<Parsed<typeof NewTokenAnswer>> {
    return this.#connection.json("POST", "/admin/tokens", NewTokenAnswer, { body: request });
  }
}
