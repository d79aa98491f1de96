import { join, resolve } from "node:path";
import { LIFELINE_VARIABLE } from "@hardshare/runtime";

/** What the command takes from its environment; read once, in `main.ts`. */
export interface Environment {
  /** Configuration of this computer's user: `HARDSHARE_HOME`, default `~/.config/hardshare`. */
  home: string;
  /** State and journal: `HARDSHARE_STATE`, default `~/.local/state/hardshare`. */
  state: string;
  /** Where programs keep data unless told otherwise: `/var/lib/hardshare` for root, else `~/.local/share/hardshare`. */
  dataRoot: string;
  userHome: string;
  uid: number;
  /** `HARDSHARE_SERVER`. */
  server: string | undefined;
  /** `HARDSHARE_TOKEN`: an API token. */
  token: string | undefined;
  /** Started by a supervisor whose end ends this process. */
  hasLifeline: boolean;
  /** `NO_COLOR` is set (no-color.org), or the terminal can't. */
  isColourless: boolean;
  /** All variables that children may inherit. */
  variables: Record<string, string | undefined>;
}

/** @param variables of the process @param user from the system */
export function readEnvironment(variables: Record<string, string | undefined>, user: { uid: number; home: string }): Environment {
  const { [LIFELINE_VARIABLE]: lifeline, HARDSHARE_TOKEN: token, ...inherited } = variables;
  const given = (name: string) => variables[name] || undefined;
  return {
    home: resolve(given("HARDSHARE_HOME") ?? join(user.home, ".config/hardshare")),
    state: resolve(given("HARDSHARE_STATE") ?? join(user.home, ".local/state/hardshare")),
    dataRoot: user.uid === 0 ? "/var/lib/hardshare" : join(user.home, ".local/share/hardshare"),
    userHome: user.home,
    uid: user.uid,
    server: given("HARDSHARE_SERVER"),
    token: token || undefined,
    hasLifeline: lifeline === "1",
    isColourless: given("NO_COLOR") !== undefined || given("TERM") === "dumb",
    variables: inherited,
  };
}
