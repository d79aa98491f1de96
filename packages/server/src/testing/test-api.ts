/** One answer of the HTTP API. */
interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // Tests look into answers of every shape; the shapes are pinned by the assertions.
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any;
}

export type Call = (method: string, path: string, body?: unknown) => Promise<Answer>;

/** Calls the API with a token. A string as body is sent as it is. */
export function apiOf(url: string, token: string | null): Call {
  return async (method, path, body) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: text === "" ? undefined : parse(text) };
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
