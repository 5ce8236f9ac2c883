// Sends files to the installation, one after the other, and tells how far they have come. Nothing is read here but
// names and sizes; the server looks at what came.

const IDLE = "Drop a study here: a zip, DICOM files or their folder, NIfTI, a film or a slide.";

// What a name of a file may hold on its way; the server judges it once more.
export const plain = (path) =>
  path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .map((part) => encodeURIComponent(part.replace(/[^\w .()+-]/g, "_").replace(/\.{2,}/g, "_")))
    .join("/");

const hidden = (path) => path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");

export function size(bytes) {
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

// Files of a folder that was dropped, and of all folders in it. A reader gives its entries in portions.
async function below(entry, path, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, path: path + file.name });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const portion = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (portion.length === 0) return;
    for (const one of portion) await below(one, `${path}${entry.name}/`, found);
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  for (const entry of entries) await below(entry, "", found);
  return found;
}

const chosen = (input) => [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

function failure(request) {
  let told = {};
  try {
    told = JSON.parse(request.responseText);
  } catch {
    // An answer of somebody between us and the server.
  }
  const status = request.status ? `the server answered ${request.status}` : "the connection was lost";
  return new Error(told.message || status);
}

class Sending {
  constructor(data, onProgress) {
    this.data = data;
    this.onProgress = onProgress;
    this.request = null;
    this.cancelled = false;
  }

  // XMLHttpRequest and not fetch, which does not tell how much was sent.
  ask(method, path, body = null, onBytes = null) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      this.request = request;
      request.open(method, this.data.base + path);
      request.setRequestHeader("Authorization", `Bearer ${this.data.token}`);
      if (onBytes) request.upload.onprogress = (event) => onBytes(event.loaded);
      request.onload = () => (request.status < 300 ? resolve(request) : reject(failure(request)));
      request.onerror = () => reject(failure(request));
      request.onabort = () => reject(new Error("cancelled"));
      request.send(body);
    });
  }

  async all(files) {
    const total = files.reduce((sum, { file }) => sum + file.size, 0);
    let before = 0;
    for (const [number, { file, path }] of files.entries()) {
      if (this.cancelled) throw new Error("cancelled");
      await this.ask("PUT", `/${plain(path)}`, file, (bytes) => this.onProgress(number, before + bytes, total));
      before += file.size;
      this.onProgress(number + 1, before, total);
    }
    await this.ask("POST", "/done");
  }

  cancel() {
    this.cancelled = true;
    this.request?.abort();
  }

  // Nothing stays behind of what was not wanted.
  remove() {
    return this.ask("DELETE", "").catch(() => {});
  }
}

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function button(text, onClick) {
  const made = element("button", text);
  made.type = "button";
  made.onclick = onClick;
  return made;
}

function picker(name, folder, onFiles) {
  const input = element("input");
  input.type = "file";
  input.multiple = true;
  input.webkitdirectory = folder;
  input.setAttribute("aria-label", name);
  input.onchange = () => onFiles(chosen(input));
  return [button(name, () => input.click()), input];
}

class Place {
  constructor(root, data, tell) {
    Object.assign(this, { root, data, tell, sending: null });
    root.ondragover = (event) => {
      event.preventDefault();
      root.classList.add("over");
    };
    root.ondragleave = () => root.classList.remove("over");
    root.ondrop = (event) => {
      event.preventDefault();
      root.classList.remove("over");
      if (!this.sending) dropped(event.dataTransfer).then((files) => this.send(files));
    };
    this.wait();
  }

  wait(told = "") {
    this.sending = null;
    const row = element("div", "", "row");
    row.append(...picker("Choose files", false, (files) => this.send(files)));
    row.append(...picker("Choose a folder", true, (files) => this.send(files)));
    const status = element("p", told);
    status.setAttribute("role", "status");
    const most = `At most ${size(this.data.most_bytes)}. Nothing is scored before you have seen what was found.`;
    const limit = element("p", most, "quiet");
    this.root.replaceChildren(element("p", IDLE), row, limit, status);
  }

  async send(all) {
    const files = all.filter(({ path }) => !hidden(path)).sort((a, b) => (a.path < b.path ? -1 : 1));
    const total = files.reduce((sum, { file }) => sum + file.size, 0);
    if (files.length === 0) return this.wait("There is no file in it.");
    if (total > this.data.most_bytes) {
      return this.wait(`These are ${size(total)}; one upload holds at most ${size(this.data.most_bytes)}.`);
    }
    this.sending = new Sending(this.data, this.progress(files.length));
    try {
      await this.sending.all(files);
      this.tell("done", Date.now());
    } catch (error) {
      const cancelled = this.sending.cancelled;
      await this.sending.remove();
      if (cancelled) this.wait("The upload was cancelled. Nothing of it was kept.");
      else this.tell("failed", error.message);
    }
  }

  progress(count) {
    const bar = element("progress");
    const status = element("p", "Sending…");
    status.setAttribute("role", "status");
    bar.setAttribute("aria-label", "Sent");
    const row = element("div", "", "row");
    row.append(button("Cancel", () => this.sending.cancel()));
    this.root.replaceChildren(status, bar, row);
    return (number, sent, total) => {
      bar.max = Math.max(total, 1);
      bar.value = sent;
      const at = `${size(sent)} of ${size(total)}, file ${Math.min(number + 1, count)} of ${count}`;
      status.textContent = number === count ? `All of ${size(total)} was sent. Looking at what came…` : at;
    };
  }
}

// Component of Streamlit: `data` is an UploadRequest. Drawn again for the same upload it goes on as it is.
export function mount({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".upload");
  if (root.denselens?.data.base === data.base) {
    Object.assign(root.denselens.data, data);
    return;
  }
  root.denselens?.sending?.cancel();
  root.denselens = new Place(root, { ...data }, setTriggerValue);
  return () => root.denselens?.sending?.cancel();
}
