/** What the viewer asks the server for. The token travels in a header and never in an address. */

/** What went wrong, in words for the reader, and the HTTP status (0 where no answer came). */
export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const WORDS = {
  401: "Your session has lapsed.",
  403: "You may not see this case, or your session has lapsed.",
  404: "The server does not have this any more.",
  409: "Somebody changed the case meanwhile.",
  412: "The result changed meanwhile. Open the case again before you save.",
  413: "The server refused this as too large.",
};

export class Api {
  /** @param {string} base "/api/cases/<id>" */
  constructor(base, token) {
    this.base = base;
    this.token = token;
    /** Called with a Refusal when the token is not accepted. */
    this.denied = () => {};
    /** Called when it is. */
    this.accepted = () => {};
  }

  headers(more = {}) {
    return { Authorization: `Bearer ${this.token}`, ...more };
  }

  async request(path, options = {}) {
    let answer;
    try {
      answer = await fetch(`${this.base}/${path}`, { ...options, headers: this.headers(options.headers) });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refusal("The server cannot be reached. Check the network.", 0);
    }
    if (answer.ok) {
      this.accepted();
      return answer;
    }
    const refusal = new Refusal(await reason(answer), answer.status);
    if (answer.status === 401 || answer.status === 403) this.denied(refusal);
    throw refusal;
  }

  async json(path) {
    return (await this.request(path)).json();
  }

  /** A label map or a heat map, whole. */
  async bytes(path, expected) {
    const bytes = new Uint8Array(await (await this.request(path)).arrayBuffer());
    if (bytes.length !== expected) throw new Refusal(`The server sent ${bytes.length} bytes instead of ${expected}.`, 0);
    return bytes;
  }

  /** @returns {Promise<{mask: string, sha256: string, changed_voxels: number, volumes_ml: Object}>} */
  async saveMask(labels, resultSha256) {
    const body = await new Response(new Blob([labels]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
    const headers = { "Content-Encoding": "gzip", "Content-Type": "application/octet-stream", "If-Match": resultSha256 };
    return (await this.request("mask", { method: "PUT", body, headers })).json();
  }
}

async function reason(answer) {
  try {
    const told = await answer.json();
    if (typeof told.message === "string" && told.message) return told.message;
  } catch {
    // No JSON: the status has to do.
  }
  return WORDS[answer.status] ?? `The server answered with the error ${answer.status}.`;
}
