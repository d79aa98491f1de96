import { DEFAULT_SERVER_PORT } from "../infrastructure/serve.ts";
import { readPort } from "../read-port.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { runUp, type UpFlags } from "./run-up.ts";

export const addUp: AddVerb = (program, shell) => {
  program
    .command("up")
    .summary("run everything on this computer, to try it out")
    .description(
      "Starts server, hub, host daemon and a simulated robot, each a process of its own that is started again when it dies,\n" +
        "registers the robot, and prints what to type next. Everything lies in one data folder; your own configuration is not touched.",
    )
    .option("--port <port>", "port of the server; 0: a free one, kept in the data folder", readPort, DEFAULT_SERVER_PORT)
    .option("--data-dir <folder>", "where everything is kept")
    .option("--no-container", "without the deployment that needs a container engine")
    .action(runs(shell, (invocation, flags: UpFlags) => runUp(invocation, flags)))
    .addHelpText(
      "after",
      examples(["hardshare up", "the whole system, until Ctrl-C"], ["hardshare up --port 9000 --data-dir ./try", "a second one beside it"]),
    );
};
