// What is kept on this device; in this page's memory where the browser refuses.
const device = {
  memory: new Map(),
  read(name) {
    try {
      return this.memory.get(name) ?? localStorage.getItem(name);
    } catch {
      return null;
    }
  },
  write(name, text) {
    try {
      localStorage.setItem(name, text);
    } catch {
      this.memory.set(name, text);
    }
  },
  remove(name) {
    this.memory.delete(name);
    try {
      localStorage.removeItem(name);
    } catch {
      // nothing was ever stored there
    }
  },
  names() {
    try {
      return [...new Set([...Object.keys(localStorage), ...this.memory.keys()])];
    } catch {
      return [...this.memory.keys()];
    }
  },
};

// Verdicts on their way: each is written to this device before it is sent and removed when the
// server has it, so a reload, a dead network or an ended log-in loses none. They leave one at a
// time, in order, and a second try carries the same key, which the server answers once.
class Outbox extends EventTarget {
  #prefix;
  #busy = false;
  #timer = 0;
  #pause = 1000;
  state = "idle"; // idle, sending, offline, expired, stranger

  constructor(prefix) {
    super();
    this.#prefix = `${prefix}:`;
    addEventListener("online", () => this.flush());
    document.addEventListener("visibilitychange", () => this.flush());
  }

  get entries() {
    const names = device.names().filter((name) => name.startsWith(this.#prefix));
    return names.sort().map((name) => JSON.parse(device.read(name)));
  }

  put(entry) {
    // Ordered by time; the counter keeps two of one millisecond apart.
    const last = this.entries.at(-1)?.id ?? "";
    let id = `${Date.now()}`.padStart(15, "0") + "-0000";
    if (id <= last) id = `${last.slice(0, 15)}-${`${Number(last.slice(16)) + 1}`.padStart(4, "0")}`;
    this.#write({ ...entry, id });
    this.#tell();
    this.flush();
  }

  amend(matches, change) {
    for (const entry of this.entries.filter(matches)) this.#write({ ...entry, ...change });
  }

  #write(entry) {
    device.write(this.#prefix + entry.id, JSON.stringify(entry));
  }

  #remove(id) {
    device.remove(this.#prefix + id);
  }

  #tell(state = this.state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }

  async flush() {
    if (this.#busy || this.entries.length === 0) return;
    this.#busy = true;
    clearTimeout(this.#timer);
    try {
      // Only one window sends; where the browser has no locks, the keys alone prevent doubles.
      if (navigator.locks) await navigator.locks.request(this.#prefix, () => this.#drain());
      else await this.#drain();
    } finally {
      this.#busy = false;
    }
    if (this.entries.length && this.state !== "stranger") {
      this.#timer = setTimeout(() => this.flush(), this.#pause);
      this.#pause = Math.min(2 * this.#pause, 15000);
    }
  }

  async #drain() {
    for (let entry; (entry = this.entries[0]); ) {
      this.#tell(this.state === "idle" ? "sending" : this.state);
      const answer = await sendJson(entry.url, entry.body);
      if (answer.state !== "answered") return this.#tell(answer.state);
      this.#pause = 1000;
      this.#remove(entry.id);
      const kind = answer.ok ? "saved" : "refused";
      this.dispatchEvent(new CustomEvent(kind, { detail: { entry, answer: answer.data } }));
      this.#tell("sending");
    }
    this.#tell("idle");
  }
}

function readCookie(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found && decodeURIComponent(found.slice(name.length + 1));
}

// POSTs JSON. State: answered (ok, data), offline (try again), expired (log in), stranger
// (logged in as somebody else).
async function sendJson(url, data, { keepalive = false } = {}) {
  // Another window's log-in changes the token, so the cookie is asked each time.
  // Its name is the longer one where the site is reached by HTTPS.
  const token =
    readCookie("__Host-csrftoken") ??
    readCookie("csrftoken") ??
    document.querySelector('meta[name="csrf-token"]').content;
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      body: JSON.stringify(data),
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      redirect: "manual",
      signal: keepalive ? undefined : AbortSignal.timeout(20000),
      keepalive,
    });
  } catch {
    return { state: "offline" };
  }
  if (response.type === "opaqueredirect") return { state: "expired" };
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  if (response.status === 403) return { state: isJson ? "stranger" : "expired" };
  if (response.status >= 500 || response.status === 429) return { state: "offline" };
  const body = isJson ? await response.json().catch(() => ({})) : {};
  return { state: "answered", ok: response.ok, status: response.status, data: body };
}

// crypto.randomUUID exists only on https and localhost; a laptop in the same room has neither.
function makeKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
