import { buildProgram } from "hardshare";
import { GENERATED } from "./markdown.mjs";

/** Width of help texts, whatever the terminal. */
const HELP_WIDTH = 100;

/** docs/reference/cli.md: the help of every verb, as the command itself writes it. */
export function cliPage() {
  let written = "";
  const stream = { write: (text) => (written += text), isTTY: false };
  const environment = {
    home: "~/.config/hardshare",
    state: "~/.local/state/hardshare",
    dataRoot: "~/.local/share/hardshare",
    userHome: "~",
  };
  const program = buildProgram({
    context: { args: [], environment, stdout: stream, stderr: stream },
    setExitCode: () => {},
    runAgain: async () => 0,
  });

  function helpOf(command) {
    written = "";
    command.configureOutput({ getOutHelpWidth: () => HELP_WIDTH, getOutHasColors: () => false });
    command.configureHelp({ showGlobalOptions: false }); // they stand once, at the top
    command.outputHelp();
    return ["```text", written.trim(), "```"].join("\n");
  }

  const sections = verbsOf(program).map(({ path, command }) => `## ${path}\n\n${helpOf(command)}`);
  return `${GENERATED}

# Commands

${helpOf(program)}

${sections.join("\n\n")}
`;
}

/** All verbs with those below them, in the order of the help. */
function verbsOf(command, prefix = command.name()) {
  const shown = command
    .createHelp()
    .visibleCommands(command)
    .filter(({ parent }) => parent === command);
  return shown.flatMap((verb) => {
    const path = `${prefix} ${verb.name()}`;
    return [{ path, command: verb }, ...verbsOf(verb, path)];
  });
}
