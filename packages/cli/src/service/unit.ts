/** The programs that systemd can keep running. */
export type ServiceName = "host" | "hub" | "server";

export interface UnitOptions {
  name: ServiceName;
  /** The command that starts this program, such as `[/usr/bin/node, /usr/lib/node_modules/hardshare/bin/hardshare.js]`. */
  command: readonly string[];
  /** Arguments behind the verb. */
  args: readonly string[];
  /** Variables that the program needs to find its folders. */
  environment: Readonly<Record<string, string>>;
  /** Whether it is a unit of the system, started at boot, or one of a user. */
  isSystem: boolean;
}

interface Program {
  verb: string;
  description: string;
  /** What systemd signals at a stop, and kills when the main process has ended in any way (systemd.kill(5)). */
  killMode: "process" | "mixed";
  /** Seconds to end in order after SIGTERM. */
  stopS: number;
}

const PROGRAMS: Record<ServiceName, Program> = {
  // `process`: containers outlive a daemon that was killed, and its successor adopts them. At a stop the daemon ends them itself.
  host: { verb: "ad", description: "hardshare host daemon", killMode: "process", stopS: 180 },
  // `mixed`: what a hub or a server that was killed leaves is of no use; at a stop the server ends its database itself.
  hub: { verb: "hub", description: "hardshare hub", killMode: "mixed", stopS: 30 },
  server: { verb: "serve", description: "hardshare server", killMode: "mixed", stopS: 60 },
};

export function unitFileName(name: ServiceName): string {
  return `hardshare-${name}.service`;
}

/** The unit file (systemd.service(5)) of one program. */
export function formatUnit({ name, command, args, environment, isSystem }: UnitOptions): string {
  const { verb, description, killMode, stopS } = PROGRAMS[name];
  const variables = Object.entries(environment).map(([key, value]) => `Environment=${quote(`${key}=${value}`, "value")}`);
  return `# Written by \`hardshare service install ${name}\`; that command writes it anew.
[Unit]
Description=${description}
Documentation=man:systemd.service(5)
After=network-online.target
Wants=network-online.target
# It is started again for as long as it takes.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${[...command, verb, ...args].map((word) => quote(word, "command")).join(" ")}
${variables.map((line) => `${line}\n`).join("")}Restart=on-failure
RestartSec=1
KillMode=${killMode}
TimeoutStopSec=${stopS}

[Install]
WantedBy=${isSystem ? "multi-user.target" : "default.target"}
`;
}

/**
 * One word as systemd reads it: specifiers are not expanded, nor variables, which there are in command lines alone
 * (systemd.service(5), "Command lines"; systemd.exec(5), `Environment=`).
 */
function quote(word: string, where: "command" | "value"): string {
  const escaped = word
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("%", "%%")
    .replaceAll("$", where === "command" ? "$$$$" : "$$")
    .replaceAll("\n", "\\n");
  return /^[\w./:=@,+-]+$/.test(word) ? word : `"${escaped}"`;
}
