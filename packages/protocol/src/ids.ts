import * as z from "zod";

/** A UUID as every id on the wire is written: 8-4-4-4-12 hexadecimal digits (RFC 9562). */
export const UUID_PATTERN = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;

const uuid = z
  .string()
  .regex(UUID_PATTERN, "expected a UUID such as 01234567-89ab-4cde-8f01-23456789abcd")
  .transform((text) => text.toLowerCase());

/** A workspace deployment. */
export const DeploymentId = uuid.brand<"DeploymentId">();
export type DeploymentId = z.infer<typeof DeploymentId>;

/** One instance of a deployment. */
export const InstanceId = uuid.brand<"InstanceId">();
export type InstanceId = z.infer<typeof InstanceId>;

/** A host computer, known by its identity key. */
export const HostId = uuid.brand<"HostId">();
export type HostId = z.infer<typeof HostId>;

/** A hub, known by its identity key. */
export const HubId = uuid.brand<"HubId">();
export type HubId = z.infer<typeof HubId>;

/** Name of a user or an organisation. */
export const UserName = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/, "expected 1–64 letters, digits, '_', '.' or '-', starting with a letter, digit or '_'");

/** Who an access rule is for: a user name, everybody (`*`), or guests (`type:anon`). */
export const AccessRuleUser = z.union([z.literal("*"), z.literal("type:anon"), UserName]);

/** Number that grows by one with each instance of a deployment. */
export const Epoch = z.int().min(1);
/** Highest epoch that a host may claim: half of what `Epoch` can hold, so that the server always has a next one. */
export const MAX_CLAIMED_EPOCH = 2 ** 52;
