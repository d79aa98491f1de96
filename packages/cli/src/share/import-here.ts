import { hostname } from "node:os";
import { resolve } from "node:path";
import type { Imported } from "@hardshare/host";
import { toAppError } from "@hardshare/protocol";
import type { Invocation } from "../context.ts";
import { clientFor, findCredentials } from "../login/credentials.ts";

/** What became of each deployment at the server. */
type Declared = { id: string; isDeclared: boolean; hint: string | null }[];

/** Takes the configuration of the existing client over, then offers those deployments here that the server knows. */
export async function importHere(invocation: Invocation, { from, server }: { from: string; server: string | undefined }): Promise<void> {
  const { context, output } = invocation;
  const { home } = context.environment;
  const { importConfiguration } = await import("@hardshare/host");
  const imported = await importConfiguration({ from: resolve(from), home, server, cwd: process.cwd(), clock: context.clock });
  const declared = await declareKnown(invocation, imported);
  output.result({ home, server: server ?? null, ...imported, declared }, () => describe(imported, declared, home).join("\n"));
}

async function declareKnown(invocation: Invocation, { deployments }: Imported): Promise<Declared> {
  const { context, options } = invocation;
  const credentials = await findCredentials(context, options).catch(() => undefined);
  const { home } = context.environment;
  const register = (id: string) => `\`hardshare register --permit-more --id ${id}\` registers it under its id`;
  if (credentials === undefined) {
    const hint = "sign in first: `hardshare login --server URL --token-file FILE`";
    return deployments.map(({ id }) => ({ id, isDeclared: false, hint: `${hint}; then ${register(id)}` }));
  }
  const { url, token } = credentials;
  const { registerDeployment } = await import("@hardshare/host");
  const declared: Declared = [];
  let known: ReadonlySet<string>;
  try {
    const { wdeployments } = await clientFor({ url, token }).ownedDeployments();
    known = new Set(wdeployments.map(({ id }) => id));
  } catch (error) {
    return deployments.map(({ id }) => ({ id, isDeclared: false, hint: `${toAppError(error).message}; then ${register(id)}` }));
  }
  for (const { id } of deployments) {
    if (!known.has(id)) {
      declared.push({ id, isDeclared: false, hint: `${url} does not know it: ${register(id)}` });
      continue;
    }
    try {
      await registerDeployment({ home, server: url, token, id, name: hostname(), permitMore: true });
      declared.push({ id, isDeclared: true, hint: null });
    } catch (error) {
      declared.push({ id, isDeclared: false, hint: toAppError(error).message });
    }
  }
  return declared;
}

function describe({ deployments, tokens, defaultOrg, warnings }: Imported, declared: Declared, home: string): string[] {
  const copied = tokens.filter(({ file }) => file !== null);
  return [
    ...warnings.map((warning) => `warning: ${warning}`),
    ...deployments.flatMap(({ id, contract, isKept, notes }) => [
      isKept ? `${id}: ${contract} is there already, and stays as it is` : `${id}: its contract is ${contract}`,
      ...notes.map((note) => `  ${note}`),
    ]),
    ...tokens.flatMap(({ name, problem }) => (problem === null ? [] : [`token ${name} was not copied: ${problem}`])),
    ...(copied.length === 0
      ? []
      : [
          `${copied.length} of its tokens were copied into ${home}/tokens. They are good where they were signed: a server of your own takes ` +
            "its own (`hardshare admin token USER --out FILE`), then `hardshare config --prune` removes the others",
        ]),
    ...(defaultOrg === null
      ? []
      : [`its organisation was ${defaultOrg}: \`hardshare declare-org ${defaultOrg}\` once its token is kept here`]),
    "the SSH key of its tunnels is not taken over: this host has an identity key of its own",
    ...declared.map(({ id, isDeclared, hint }) => (isDeclared ? `${id} is one of this host now` : `${id} can't be offered yet: ${hint}`)),
    ...(declared.some(({ isDeclared }) => isDeclared) ? ["`hardshare ad` offers what is one of this host"] : []),
  ];
}
