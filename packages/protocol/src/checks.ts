import * as z from "zod";

/**
 * What `hardshare check` can find: each finding has a code, which stays the same, and a severity. `meaning` says what it is,
 * `fix` what to do where the finding itself does not know better (docs/reference/checks.md is made from it).
 */
export const CHECK_CATALOGUE = {
  not_set_up: {
    severity: "error",
    meaning: "This computer is no host yet, its configuration cannot be read, or it names no such deployment.",
    fix: "`hardshare init`, then `hardshare register`.",
  },
  not_signed_in: {
    severity: "warning",
    meaning: "Nobody is signed in, so what the server knows of the deployment was not looked at.",
    fix: "`hardshare login --server URL --token-file FILE`.",
  },
  server_unreachable: {
    severity: "error",
    meaning: "The server does not answer: nobody can launch.",
    fix: "Look whether it runs, and whether this computer's network reaches it.",
  },
  token_invalid: {
    severity: "error",
    meaning: "The server does not take the API token: it is malformed, expired or revoked.",
    fix: "`hardshare login --token-file FILE` with a new token.",
  },
  clock_wrong: {
    severity: "error",
    meaning: "The clock of this computer differs from the server's by more than 60 s: instances end early or late.",
    fix: "Set it by NTP: `timedatectl set-ntp true`.",
  },
  no_hub: {
    severity: "error",
    meaning: "No hub is connected to the server, so no tunnel can be opened.",
    fix: "Whoever runs the infrastructure starts `hardshare hub`.",
  },
  hub_unreachable: {
    severity: "error",
    meaning: "This computer cannot reach the SSH port of a hub, or somebody else answers there: tunnels will fail.",
    fix: "Let the firewall pass outgoing connections to this address.",
  },
  disk_full: {
    severity: "error",
    meaning: "Less than 64 MiB are free where the host keeps its journal: launches are refused when it is full.",
    fix: "Free some space.",
  },
  disk_low: {
    severity: "warning",
    meaning: "Less than 1 GiB is free where the host keeps its journal.",
    fix: "Free some space: containers have no limit of their own.",
  },
  daemon_offline: {
    severity: "error",
    meaning: "The host daemon runs, but is not connected to the server.",
    fix: "`hardshare status` says why.",
  },
  not_offered: {
    severity: "info",
    meaning: "The host daemon does not run or does not offer the deployment, so nobody can launch it now.",
    fix: "`hardshare ad`.",
  },
  deployment_unknown: {
    severity: "error",
    meaning: "The server does not know the deployment.",
    fix: "Use the server at which it was registered (`--server`), or `hardshare register` a new one.",
  },
  wrong_owner: {
    severity: "error",
    meaning: "The deployment belongs to somebody other than the API token does.",
    fix: "Sign in as its owner.",
  },
  dissolved: {
    severity: "error",
    meaning: "The deployment was dissolved, which is for ever.",
    fix: "`hardshare register` a new one; the contract of the old one was kept aside.",
  },
  locked_out: {
    severity: "error",
    meaning: "The deployment is locked out: nobody can launch it until its owner unlocks it.",
    fix: "Look at the hardware, then `hardshare unlock`.",
  },
  contract_invalid: {
    severity: "error",
    meaning: "The contract, or a rules file that it names, cannot be read or is wrong.",
    fix: "Correct the file at the line that is named.",
  },
  engine_unusable: {
    severity: "error",
    meaning: "The container engine of the contract's provider is missing, does not answer, or may not be used by this user.",
    fix: "Install or start it; containers need the host daemon to run as root.",
  },
  image_missing: {
    severity: "error",
    meaning: "The image of the contract is not on this computer; nothing is fetched during a launch.",
    fix: "`hardshare image` makes the default one; build or pull any other.",
  },
  device_missing: {
    severity: "error",
    meaning: "A device file of the contract is not there.",
    fix: "Plug it in, or correct the path: `ls -l /dev/serial/by-id`.",
  },
  device_wrong_type: {
    severity: "error",
    meaning: "What the contract names as a device is no device file.",
    fix: "Name the device file itself.",
  },
  device_not_permitted: {
    severity: "error",
    meaning: "This user may not read and write a device file.",
    fix: "Run the daemon as root, or add the user to the group of the device (on Debian `dialout`).",
  },
  device_busy: {
    severity: "error",
    meaning: "Another program has the serial device open: it would take a part of what the device says.",
    fix: "End that program first.",
  },
  program_unusable: {
    severity: "error",
    meaning: "A program of the contract is missing or cannot be executed.",
    fix: "Correct the path, or `chmod +x` it.",
  },
  program_writable: {
    severity: "warning",
    meaning: "A program that the daemon runs can be changed by other users of this computer, who so get the daemon's rights.",
    fix: "`chown` it to the daemon's user and `chmod go-w` it, and the folder that it lies in.",
  },
  monitor_failed: {
    severity: "error",
    meaning: "A monitor of the contract fails now: the deployment would be locked out, or its owner told.",
    fix: "Look what it watches; `hardshare monitor` runs it again.",
  },
  service_failed: {
    severity: "error",
    meaning: "A service of the contract (its filter, with its rules) does not start.",
    fix: "Correct what its last lines say.",
  },
  target_unreachable: {
    severity: "error",
    meaning: "The device behind a filter does not take connections at its address.",
    fix: "Switch the device on, or correct `target`.",
  },
  nothing_given: {
    severity: "info",
    meaning: "The contract gives instances no hardware: neither devices nor services.",
    fix: "Add `services` or `devices` to the contract.",
  },
  unfiltered_devices: {
    severity: "warning",
    meaning: "Devices are given as they are: nothing constrains what an instance does with the hardware.",
    fix: "Put a filter between: a service with `filter: serial` and `device:`.",
  },
  unfiltered_service: {
    severity: "warning",
    meaning: "A filter lets everything pass: it has no rules, allows what no rule names, or only watches (`mode: shadow`).",
    fix: "Write rules with `default: block`; `hardshare filter learn` proposes some.",
  },
  network_open: {
    severity: "warning",
    meaning: "With `network: open` an instance reaches this computer's network.",
    fix: "`network: isolated`, or `internet` where instances need to download.",
  },
  public_port_open: {
    severity: "warning",
    meaning: "With `public_port: true` anybody who finds the port reaches the filter: nobody is asked who they are.",
    fix: "Leave it out; users come with `hardshare forward`.",
  },
  failure_waived: {
    severity: "warning",
    meaning: "`on_fail: warn` on a program for the end: the deployment is offered again although that failed.",
    fix: "Leave `on_fail` out, so that a failure locks the deployment out.",
  },
  safe_state_missing: {
    severity: "warning",
    meaning: "There is hardware, but no program that makes it safe: E-stop only cuts the connection.",
    fix: "Add `safe_state` to the contract.",
  },
  dead_man_unsafe: {
    severity: "warning",
    meaning: "There is a dead-man's switch, but no `safe_state` that it could run.",
    fix: "Add `safe_state` to the contract.",
  },
  no_baseline: {
    severity: "info",
    meaning: "There is hardware, but no program that looks whether it is as it has to be after an instance.",
    fix: "Add `baseline` to the contract.",
  },
  device_reenumerates: {
    severity: "warning",
    meaning: "A serial device is named by a number that changes when it is plugged in again, or when it is reset.",
    fix: "Use its name in /dev/serial/by-id, for a raw device as the target of a serial filter.",
  },
  pty_no_reset: {
    severity: "warning",
    meaning:
      "A device file that a serial filter shows is a terminal without modem lines: programs inside cannot reset a board by DTR, nor set its baud rate.",
    fix: "Offer the reset as a service of its own, if users flash the board.",
  },
  trial_skipped: {
    severity: "info",
    meaning: "The deployment was not launched on trial; the finding says why.",
    fix: "Mend that, then check again.",
  },
  trial_failed: {
    severity: "error",
    meaning: "The trial launch failed: an instance would fail in the same step.",
    fix: "Correct what the last lines of the step say.",
  },
  trial_unclean: {
    severity: "error",
    meaning: "The trial could not be undone, or the hardware is not as it has to be after it: the deployment is locked out.",
    fix: "Look at the hardware, correct the programs, then `hardshare unlock`.",
  },
  trial_warned: {
    severity: "warning",
    meaning: "During the trial something happened that the owner should look at, such as a program that failed with `on_fail: warn`.",
    fix: "Correct what the message says.",
  },
  trial_passed: {
    severity: "info",
    meaning: "The deployment was launched and ended on this computer, with all its steps, and nothing is left.",
    fix: "Nothing.",
  },
} as const satisfies Record<string, { severity: CheckSeverity; meaning: string; fix: string }>;

/** How bad a finding is: with an `error` instances fail or are refused; a `warning` is a risk that the owner takes. */
export type CheckSeverity = "error" | "warning" | "info";
export type CheckCode = keyof typeof CHECK_CATALOGUE;

const CheckCode = z.enum(Object.keys(CHECK_CATALOGUE) as [CheckCode, ...CheckCode[]]);

/** Something that `hardshare check` found. */
export const CheckFinding = z.object({
  code: CheckCode,
  severity: z.enum(["error", "warning", "info"]),
  /** Id of the deployment that it is about; null: the whole computer. */
  deployment: z.string().nullable(),
  cause: z.string(),
  fix: z.string(),
});
export type CheckFinding = z.infer<typeof CheckFinding>;

/** What a check says while it goes on: what it looks at, and what it found. */
export const CheckEvent = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("progress"), text: z.string() }),
  z.object({ kind: z.literal("finding"), finding: CheckFinding }),
]);
export type CheckEvent = z.infer<typeof CheckEvent>;

/** A finding of the catalogue. @param fix what to do, where more is known than the catalogue says */
export function makeFinding(code: CheckCode, about: { deployment: string | null; cause: string; fix?: string }): CheckFinding {
  const { severity, fix } = CHECK_CATALOGUE[code];
  return { code, severity, deployment: about.deployment, cause: about.cause, fix: about.fix ?? fix };
}
