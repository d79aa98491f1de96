import { AppError } from "@hardshare/protocol";
import { type AddVerb, examples, runs } from "../verb.ts";
import { changeContract, chooseConfigured, describeChange } from "./change-contract.ts";

interface AddonFlags {
  addon: string;
  list?: boolean;
  ip?: string;
  rm?: boolean;
}

/** Name of the service that does what the add-on of the existing server does. */
const SERVICE = "MISTYPROXY";

export const addConfigAddon: AddVerb = (program, shell) => {
  program
    .command("config-addon")
    .summary("give instances what the add-on mistyproxy gave")
    .description(
      "Of the add-ons of the existing client only mistyproxy can be configured. Here it is a service of the contract, like any\n" +
        `other: ${SERVICE}, through which an instance reaches the robot's HTTP API (its address is in $${SERVICE}), unfiltered\n` +
        "until you give it rules (`hardshare filter learn`). Other add-ons do not exist here.",
    )
    .argument("[id]", "id of a deployment of this host, or its beginning; may be left out when there is one")
    .requiredOption("-a, --addon <name>", "the add-on: mistyproxy")
    .option("-l, --list", "show how it is configured")
    .option("--ip <address>", "address of the robot")
    .option("--rm", "remove it")
    .action(
      runs(shell, async (invocation, flags: AddonFlags, id?: string) => {
        const wanted = [flags.list === true, flags.ip !== undefined, flags.rm === true].filter(Boolean);
        if (flags.addon !== "mistyproxy")
          throw badInput("addon", `expected mistyproxy, found ${flags.addon}: no other add-on can be configured`);
        if (wanted.length !== 1) throw badInput("ip", "expected one of --list, --ip ADDRESS and --rm");
        if (flags.list === true) {
          const { id: chosen, contract } = await chooseConfigured(invocation, id);
          const service = contract?.services.find(({ name }) => name === SERVICE);
          const target = service !== undefined && "target" in service ? service.target : undefined;
          const ip = target?.replace(/:\d+$/, "");
          const value = { deployment: chosen, mistyproxy: ip === undefined ? null : { ip } };
          invocation.output.result(value, () => (ip === undefined ? "mistyproxy is not configured" : `mistyproxy:\n  ip: ${ip}`));
          return 0;
        }
        const requested = flags.ip === undefined ? { rmService: [SERVICE] } : { addService: [`${SERVICE}=rrhttp ${targetOf(flags.ip)}`] };
        const changed = await changeContract(invocation, id, requested);
        invocation.output.result(changed, () => describeChange(changed));
        return changed.exitCode;
      }),
    )
    .addHelpText("after", examples(["hardshare config-addon -a mistyproxy --ip 192.168.1.134", "instances reach this robot"]));
};

function targetOf(ip: string): string {
  return `${ip.includes(":") && !ip.startsWith("[") ? `[${ip}]` : ip}:80`;
}

function badInput(field: string, message: string): AppError {
  return new AppError("bad_input", `--${field}: ${message}`, { details: { field } });
}
