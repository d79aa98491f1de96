import type { HardshareClient } from "@hardshare/client";
import { type InstanceView, UUID_PATTERN } from "@hardshare/protocol";
import { chooseByPrefix } from "./choose-by-prefix.ts";

const WORDS = {
  noun: "instance",
  whenNone: "launch one with `hardshare launch ID|TYPE`, or see all deployments with `hardshare search`",
};

/**
 * The caller's instance that `text` means: its id or its deployment's, whole or the beginning, or the only one.
 * @throws AppError `not_found`, `bad_input`
 */
export async function chooseInstance(client: HardshareClient, text: string | undefined): Promise<InstanceView> {
  if (text !== undefined && UUID_PATTERN.test(text)) {
    const own = (await client.instances()).find((instance) => instance.deployment === text.toLowerCase());
    return client.instance(own?.id ?? text);
  }
  const live = (await client.instances()).map((instance) => ({ ...instance, ids: [instance.id, instance.deployment] }));
  return client.instance(chooseByPrefix(text, live, WORDS).id);
}
