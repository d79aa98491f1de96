import * as z from "zod";
import { foreignText } from "./texts.ts";

/** Longest alert in an owner's own words. */
const MAX_ALERT_CHARS = 1000;
const MAX_URL_CHARS = 2000;

/** What a webhook gets as its body: something happened to a deployment that its owner should hear of. */
export interface HookMessage {
  /** The same for all hooks and attempts. */
  id: string;
  kind: "alert";
  deployment: string;
  instance: string | null;
  /** ISO 8601. */
  at: string;
  message: string;
}

/** An address for letters: one, without a name. */
export const EmailAddress = z
  .string()
  .max(254)
  .regex(/^[^\s@,;<>"()\\]+@[^\s@,;<>"()\\]+$/, "expected an address such as olga@example.org");

/** `POST /deployment/ID/hook/webhook`: where alerts are posted; null: nowhere. */
export const NewWebhook = z.object({
  url: z
    .string()
    .max(MAX_URL_CHARS)
    .refine(isWebhookUrl, "expected a URL such as https://example.org/alerts, without a user name")
    .nullable(),
});
/** Answer: the secret with which it is signed, at this time only; null when it was there before, or is none. */
export const WebhookAnswer = z.object({ secret: z.string().nullable() });

/** Answer of `POST /hardshare/hook/email/ID`; the existing client reads nothing of it. */
export const EmailHooksAnswer = z.object({
  /** Why nothing will be mailed. */
  warning: z.string().optional(),
});

const HookView = z.object({
  target: z.string(),
  /** When something arrived there last. */
  delivered: z.string().nullable(),
  /** Why the last attempt failed. */
  problem: z.string().nullable(),
});
/** `GET /deployment/ID/hooks`. */
export const HooksView = z.object({ webhook: HookView.nullable(), emails: z.array(HookView), warning: z.string().optional() });

/** `POST /deployment/ID/alert`. */
export const NewAlert = z.object({ msg: foreignText(MAX_ALERT_CHARS) });
/** Answer: to how many hooks it is on its way. */
export const AlertAnswer = z.object({ webhooks: z.int(), emails: z.int(), warning: z.string().optional() });

function isWebhookUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return ["http:", "https:"].includes(url.protocol) && url.username === "" && url.password === "";
}
