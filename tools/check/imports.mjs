import { builtinModules } from "node:module";
import { posix } from "node:path";
import { isTest } from "./repository.mjs";

const SCOPE = "@hardshare/";

/**
 * Import directions: each file may import what its room may (architecture.json), other packages only through their
 * entries, its own package only by relative paths that stay inside.
 * @param {import("./repository.mjs").Repository} repository
 * @returns {import("./problem.mjs").Problem[]}
 */
export function checkImports(repository) {
  const { architecture, files, packages } = repository;
  const paths = new Set(files.map((file) => file.path));
  return files.flatMap((file) => {
    const name = roomOf(architecture, file.path);
    if (name === undefined) return [orphan(file.path)];
    const place = { architecture, packages, paths, file, name, room: architecture.rooms[name] };
    return file.parsed.imports.flatMap((found) => {
      const problem = found.specifier.startsWith(".") ? checkRelative(place, found) : (checkBare(place, found) ?? checkWay(place, found));
      return problem === undefined ? [] : [{ file: file.path, line: found.line, ...problem }];
    });
  });
}

/** The room of a file: the one with the longest folder that contains it. */
function roomOf(architecture, path) {
  let best = { length: 0, name: undefined };
  for (const [name, { folders }] of Object.entries(architecture.rooms)) {
    for (const folder of folders) {
      const contains = path === folder || path.startsWith(`${folder}/`);
      if (contains && folder.length > best.length) best = { length: folder.length, name };
    }
  }
  return best.name;
}

function checkRelative({ architecture, packages, paths, file, name, room }, { specifier, kind }) {
  const target = posix.normalize(posix.join(posix.dirname(file.path), specifier));
  const own = packages.find(({ folder }) => file.path.startsWith(`${folder}/`));
  if (own !== undefined && !target.startsWith(`${own.folder}/`)) {
    return {
      what: `imports ${specifier}, which lies outside its package`,
      why: "packages see each other only through their entries",
      todo: "import the package by its name (@hardshare/…)",
    };
  }
  if (file.path.endsWith(".ts") && !/\.(?:ts|tsx|json)$/.test(specifier)) {
    return { what: `imports ${specifier}`, why: "the source runs without a build", todo: `write the file's real name, ending in .ts` };
  }
  if (isTest(target) && !isTest(file.path)) {
    return {
      what: `imports ${specifier}`,
      why: "tests and their fixtures are not part of what users run",
      todo: "move what both need into a file of its own",
    };
  }
  const other = paths.has(target) ? roomOf(architecture, target) : name;
  if (other === name || other === undefined || isTest(file.path) || mayImportRoom(room, other, kind)) return undefined;
  return { what: `imports ${specifier} of the room ${other}`, ...reason(room, name, [other]) };
}

function checkBare({ architecture, packages, file, name, room }, { specifier, kind }) {
  const also = isTest(file.path) ? architecture.tests : { ours: [], modules: [], node: false };
  const module = specifier.replace(/^((?:@[^/]+\/)?[^/]+).*$/, "$1");
  if (builtinModules.includes(module)) {
    return { what: `imports ${specifier}`, why: "it is a module of Node's own", todo: `write node:${specifier}` };
  }
  if (specifier.startsWith("node:")) {
    return room.node || also.node ? undefined : { what: `imports ${specifier}`, ...reason(room, name, [specifier, "node:*"]) };
  }
  const owner = packages.find((candidate) => candidate.name === module);
  if (owner === undefined) {
    if (matches(room.modules, module) || matches(also.modules, module)) return undefined;
    return { what: `imports the module ${module}`, ...reason(room, name, [module]) };
  }
  const entry = owner.entries.get(specifier);
  if (entry === undefined) {
    return {
      what: `imports ${specifier}, which is inside ${owner.name}`,
      why: "what is not an entry of a package may change at any time",
      todo: `import from ${[...owner.entries.keys()].join(" or ")}`,
    };
  }
  if (file.path.startsWith(`${owner.folder}/`)) {
    if (isTest(file.path)) return undefined;
    return { what: `imports its own package by name (${specifier})`, why: "that is a cycle", todo: "use a relative path" };
  }
  const other = roomOf(architecture, entry);
  if (mayImportRoom(room, other, kind) || matches(also.ours, other)) return undefined;
  if (room.lazily?.includes(other)) {
    const ban = reason(room, name, [other]);
    return { what: `imports ${specifier} at its start`, why: ban.why, todo: `await import("${specifier}") where it is used` };
  }
  return { what: `imports ${specifier}`, ...reason(room, name, [other, specifier.replace(SCOPE, "")]) };
}

/** Some modules have a name for all of themselves, from which a bundler can't take what nobody uses. */
function checkWay({ architecture }, { specifier, names = [] }) {
  const found = architecture.namespaces.modules.find(({ module, name }) => module === specifier && names.includes(name));
  if (found === undefined) return undefined;
  return {
    what: `imports ${found.name} of ${specifier}`,
    why: found.because,
    todo: `write: import * as ${found.name} from "${specifier}"`,
  };
}

function mayImportRoom(room, other, kind) {
  return matches(room.ours, other) || (kind !== "static" && (room.lazily ?? []).includes(other));
}

/** Whether a list has the name, `*`, or a pattern that ends in `*`. */
function matches(list, name) {
  return list.some((pattern) => pattern === name || (pattern.endsWith("*") && name.startsWith(pattern.slice(0, -1))));
}

function reason(room, name, targets) {
  const ban =
    room.bans.find(({ what }) => targets.some((target) => what.includes(target))) ?? room.bans.find(({ what }) => what.includes("*"));
  const allowed = [
    ...room.ours,
    ...(room.lazily ?? []).map((other) => `${other} (by import())`),
    ...room.modules,
    ...(room.node ? ["node:*"] : []),
  ];
  return {
    why: ban?.because ?? `architecture.json does not list it for ${name}`,
    todo: `${name} may import ${allowed.join(", ") || "nothing"}; move the code, or change architecture.json and say why in the commit`,
  };
}

function orphan(path) {
  return {
    file: path,
    what: "lies in no room",
    why: "nobody knows what it may import",
    todo: "move it into a package's src/, or add a room to architecture.json",
  };
}
