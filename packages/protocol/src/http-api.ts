import * as z from "zod";
import { AccessRule, Capability, FirewallAction, FirewallRule } from "./access.ts";
import { HostName } from "./host-names.ts";
import { AccessRuleUser, DeploymentId, InstanceId, UserName } from "./ids.ts";
import { InstanceState, PublicKeyLine, TimelineEvent } from "./instances.ts";
import { MAX_REASON_CHARS } from "./texts.ts";

/**
 * Bodies of the HTTP API, in the shapes of the existing one (rerobots-http-api.md §2). Every name and text here is
 * what clients in the wild read; fields that those do not know are ours and additional.
 */

/** A fact about a lock-out that people should see. */
export const LockoutView = z.object({ reason: z.string(), actor: z.string(), at: z.string() });

/** Why a deployment rests, and until when. */
const RestView = z.object({ why: z.string(), until: z.string().nullable() });

/** `GET /deployment/ID`. */
export const DeploymentView = z.object({
  id: DeploymentId,
  type: z.string(),
  type_version: z.int(),
  supported_addons: z.array(z.string()),
  desc: z.string().nullable(),
  region: z.string(),
  icounter: z.int(),
  created: z.string(),
  queuelen: z.int(),
  online: z.boolean(),
  /** Present, and true, only while locked out. */
  lockout: z.literal(true).optional(),
  dissolved: z.string().optional(),
  /** The caller's own live instance here. */
  instance: InstanceId.optional(),
  addons_config: z.record(z.string(), z.unknown()).optional(),
  // ours:
  owner: z.string(),
  provider: z.string().nullable(),
  max_duration: z.number(),
  /** Reason and actor of the lock-out; for those who are logged in. */
  lockout_info: LockoutView.optional(),
  /** Why it cannot be launched for now, and until when (UTC; null: nobody knows); absent while it can be, or is held. */
  resting: RestView.optional(),
  /** Who holds it (for those who are logged in) and when it gets free; null when free. */
  holder: z.object({ user: z.string().optional(), expires: z.string() }).nullable(),
});
export type DeploymentView = z.infer<typeof DeploymentView>;

/** `GET /deployments[?info=t]`. */
export const DeploymentsList = z.object({
  workspace_deployments: z.array(DeploymentId),
  page_count: z.int(),
  info: z
    .record(
      z.string(),
      z.object({
        type: z.string(),
        type_version: z.int(),
        supported_addons: z.array(z.string()),
        desc: z.string().nullable(),
        region: z.string(),
        icounter: z.int(),
        created: z.string(),
        queuelen: z.int(),
        // ours:
        online: z.boolean(),
        locked: z.boolean(),
        resting: RestView.optional(),
        owner: z.string(),
        provider: z.string().nullable(),
      }),
    )
    .optional(),
});
export type DeploymentsList = z.infer<typeof DeploymentsList>;

/** `GET /workspaces`. */
export const WorkspaceTypes = z.object({ workspace_types: z.array(z.string()) });
export type WorkspaceTypes = z.infer<typeof WorkspaceTypes>;

/** Options of `POST /new/…`. */
export const LaunchOptions = z.object({
  reserve: z.boolean().optional(),
  expire_d: z.int().positive().optional(),
  sshkey: PublicKeyLine.optional(),
  wds: z.array(DeploymentId).min(1).optional(),
  // Options of existing clients that change nothing here yet; their types are checked all the same.
  keepalive: z.boolean().optional(),
  eurl: z.string().min(1).optional(),
  vpn: z.boolean().optional(),
  allow_noop: z.boolean().optional(),
  repo: z.object({ url: z.string(), path: z.string().optional() }).optional(),
});
export type LaunchOptions = z.infer<typeof LaunchOptions>;

/** Answer of `POST /new/…`. `sshkey` (a private key, PEM) only where §9.9 says so. */
export const LaunchAnswer = z.object({ success: z.boolean(), id: InstanceId, sshkey: z.string().optional() });
export type LaunchAnswer = z.infer<typeof LaunchAnswer>;

/** `GET /instance/ID`. */
export const InstanceView = z.object({
  id: InstanceId,
  deployment: DeploymentId,
  type: z.string(),
  region: z.string(),
  starttime: z.string(),
  endtime: z.string().optional(),
  expires: z.string().optional(),
  rootuser: z.string(),
  status: InstanceState,
  wdinfo: DeploymentView,
  /** Public address, not later than READY; empty for a deployment without a public port. */
  fwd: z.object({ ipv4: HostName.optional(), port: z.int().optional() }).optional(),
  hostkeys: z.array(z.string()).optional(),
  // ours:
  provider: z.string().nullable(),
  epoch: z.int(),
  /** Why it ended or is ending, and the launch step that failed. */
  end_reason: z.string().optional(),
  failed_step: z.string().optional(),
  failed_log: z.string().optional(),
  /** The jump host: address, SSH port, SSH host key (an OpenSSH public key line). */
  hub: z.object({ host: HostName, ssh_port: z.int(), host_key: z.string() }).optional(),
});
export type InstanceView = z.infer<typeof InstanceView>;

/** `GET /instances[?details]`. */
export const InstancesList = z.object({
  workspace_instances: z.array(z.union([z.string(), z.record(z.string(), z.unknown())])),
  workspace_deployments: z.array(z.string()),
  page_count: z.int(),
});
export type InstancesList = z.infer<typeof InstancesList>;

/** `GET /instance/ID/sshkey`: the private key that the server made, as PEM. */
export const InstanceKey = z.object({ key: z.string() });

/** `GET /deployment/ID/rules`. */
export const AccessRulesList = z.object({ rules: z.array(AccessRule) });
/** Answer of `POST /deployment/ID/rule`. */
export const NewAccessRuleAnswer = z.object({ rule_id: z.int() });

/** `POST /deployment/ID/rule`. */
export const NewAccessRule = z.object({ cap: Capability, user: AccessRuleUser.default("*") });

/** `GET /firewall/ID` and `POST /firewall/ID`; `rules` is null when never configured. */
export const FirewallList = z.object({
  rules: z.array(FirewallRule.extend({ src: z.string() })).nullable(),
});
export const NewFirewallRule = z.object({ src: z.string().optional(), action: FirewallAction.default("ACCEPT") });

/** `POST /deployment/ID/lockout`; the existing client sends no body. */
export const NewLockout = z.object({ reason: z.string().max(MAX_REASON_CHARS).optional() });

/** Answer of `POST /instance/ID/estop` and `POST /deployment/ID/estop`. */
export const EstopAnswer = z.object({
  deployment: DeploymentId,
  /** The instance that is stopped; null when there is none. */
  instance: InstanceId.nullable(),
  /** `stopped`: the host said that nothing passes to the device; `no_answer`: it was told; `offline`: it will be told when it connects. */
  host: z.enum(["stopped", "no_answer", "offline"]),
  /** Whether it is written down: if not, the server goes on trying. */
  recorded: z.boolean(),
});
export type EstopAnswer = z.infer<typeof EstopAnswer>;

/**
 * `POST /hardshare/register`. The existing client sends no body; ours sends its identity key, which is pinned, and the
 * signature of `registerTranscript` by it. With `id` of a deployment that is there, the host takes it over, if it has none
 * yet; with one that is not, the new deployment gets it.
 */
export const NewDeployment = z.object({
  id: DeploymentId.optional(),
  host: z.object({ key: PublicKeyLine, name: z.string().max(100).default(""), signature: z.base64().max(128) }).optional(),
  type: z
    .string()
    .regex(/^[a-z0-9_]{1,64}$/, "expected small letters, digits and '_'")
    .optional(),
  desc: z.string().max(80).optional(),
});
/** Answer: `host` and `serverKey` (the server's identity key, to be pinned) when a host key was sent. */
export const NewDeploymentAnswer = z.object({
  id: DeploymentId,
  owner: z.string(),
  host: z.string().optional(),
  serverKey: z.string().optional(),
});

/** `POST /hubs/register` (superuser): pins the hub's identity key and SSH host key. */
export const NewHub = z.object({
  key: PublicKeyLine,
  sshHostKey: PublicKeyLine,
  name: z.string().max(100).default(""),
  signature: z.base64().max(128),
});
export const NewHubAnswer = z.object({ id: z.string(), serverKey: z.string() });

/** Text that a host or hub signs when it registers, to prove that it holds the private key; `token` is the API token used. */
export function registerTranscript(role: "host" | "hub", key: string, tokenSha256: string): string {
  return ["hardshare-register-1", role, key, tokenSha256].join("\n");
}

/** `POST /admin/users` (superuser). */
export const NewUser = z.object({ name: UserName });
/** `POST /admin/tokens` (superuser): a token for an existing user, valid for `days`. */
export const NewToken = z.object({
  user: UserName,
  days: z.number().positive().max(3650).default(90),
  superuser: z.boolean().default(false),
});
export const NewTokenAnswer = z.object({ token: z.string(), sha256: z.string(), expires: z.string() });
export const UsersList = z.object({ users: z.array(z.object({ name: z.string(), created: z.string() })) });

/** `GET /whoami`. */
export const WhoAmI = z.object({ user: z.string(), org: z.string().nullable(), superuser: z.boolean(), expires: z.string() });

/** `GET /hardshare/list`. */
export const OwnedDeployments = z.object({
  owner: z.string(),
  wdeployments: z.array(
    z.object({
      id: DeploymentId,
      date_created: z.string(),
      origin: z.string().nullable(),
      dissolved: z.string().nullable(),
      heartbeat: z.string().nullable(),
      lockout: z.boolean(),
      desc: z.string().nullable(),
      // ours:
      online: z.boolean(),
      host: z.string().nullable(),
      provider: z.string().nullable(),
      lockout_info: LockoutView.optional(),
      resting: RestView.optional(),
      dissolved_info: LockoutView.optional(),
      instance: z.object({ id: InstanceId, user: z.string(), status: InstanceState, expires: z.string() }).nullable(),
      alerts: z.array(z.object({ at: z.string(), message: z.string() })),
    }),
  ),
});

/** `POST /hardshare/dis/ID`; the body may be left out. `force`: a running instance is ended; else it is refused while there is one. */
export const Dissolution = z.object({
  reason: z.string().trim().min(1).max(MAX_REASON_CHARS).optional(),
  force: z.boolean().default(false),
});
export const DissolvedAnswer = z.object({
  id: DeploymentId,
  date_created: z.string(),
  date_dissolved: z.string(),
  origin: z.string().nullable(),
});

/** `GET /hubs`: where hosts dial the hubs that are connected. */
export const HubsList = z.object({
  hubs: z.array(z.object({ name: z.string(), host: HostName, port: z.int().min(1).max(65_535), hostKey: z.string() })),
});

/** Body of every error answer. The three texts are equal: which one a client reads depends on the route. */
export const ErrorBody = z.object({
  error_message: z.string(),
  error: z.string().optional(),
  result_message: z.string().optional(),
  code: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});

/** Type of the last server-sent event of an instance that has ended: nothing more will come. Its data says nothing. */
export const EVENTS_END = "end";

/** Server-sent events of `GET /instance/ID/events`: `id:` is the event's number, `data:` this as JSON. */
export const InstanceEvent = TimelineEvent;
