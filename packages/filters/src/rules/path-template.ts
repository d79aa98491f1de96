/**
 * Path templates of filter rules: `{name}` stands for one segment, a final `/*` for one or more.
 * Templates and paths are compared segment by segment, percent-decoded, so that no spelling of a path escapes its rule.
 */
export interface PathTemplate {
  readonly segments: readonly TemplateSegment[];
  /** Whether it ends in `/*`. */
  readonly isOpen: boolean;
}

type TemplateSegment = { readonly text: string } | { readonly parameter: string };

/**
 * Compiles a template such as `/api/cameras/{name}` or `/api/*`.
 * @returns the template, or what is wrong with it
 */
export function compilePathTemplate(source: string): PathTemplate | { readonly problem: string } {
  const parts = source.slice(1).split("/");
  const isOpen = parts.at(-1) === "*";
  if (isOpen) parts.pop();
  const segments: TemplateSegment[] = [];
  const names = new Set<string>();
  for (const [index, part] of parts.entries()) {
    const parameter = /^\{([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(part)?.[1];
    if (parameter !== undefined) {
      if (names.has(parameter)) return { problem: `expected another name, because {${parameter}} is used twice in this path` };
      names.add(parameter);
      segments.push({ parameter });
      continue;
    }
    if (/[*{}]/.test(part)) return { problem: `expected {name} to be a whole segment and * only as the last one, not \`${part}\`` };
    if (part === "" && (isOpen || index < parts.length - 1)) return { problem: "expected no empty segment (`//`) in this path" };
    if (part === "." || part === "..") return { problem: `expected no \`${part}\` segment, because such a request is always refused` };
    const text = decodeSegment(part);
    if (text === undefined) return { problem: `expected valid percent-encoding, not \`${part}\`` };
    segments.push({ text });
  }
  return { segments, isOpen };
}

/** A percent-decoded segment, or undefined when it is not valid UTF-8 in percent-encoding. */
export function decodeSegment(segment: string): string | undefined {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

/** Whether the decoded segments of a path fit the template exactly. */
export function matchesExactly(template: PathTemplate, path: readonly string[]): boolean {
  return fits(template, path, (segment) => segment);
}

/**
 * Whether a device could take the path for one that fits the template: many servers ignore letter case, a final slash,
 * parameters after a semicolon, and dots or blanks at the end of a name. For blocks, which must hold for every device.
 */
export function matchesLoosely(template: PathTemplate, path: readonly string[]): boolean {
  if (fits(template, path, fold)) return true;
  return path.length > 1 && fold(path.at(-1) ?? "") === "" && fits(template, path.slice(0, -1), fold);
}

function fold(segment: string): string {
  const plain = segment.split(";", 1)[0] ?? "";
  // Not by an expression such as /[.\s]+$/, which takes quadratic time for many dots in the middle.
  let end = plain.length;
  while (end > 0 && /[.\s]/.test(plain.charAt(end - 1))) end -= 1;
  return plain.slice(0, end).toLowerCase();
}

function fits(template: PathTemplate, path: readonly string[], spelling: (segment: string) => string): boolean {
  const { segments, isOpen } = template;
  if (isOpen ? path.length <= segments.length : path.length !== segments.length) return false;
  return segments.every((segment, index) => {
    const actual = path[index] ?? "";
    return "parameter" in segment ? actual !== "" : spelling(segment.text) === spelling(actual);
  });
}
