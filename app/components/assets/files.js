// Fetches files of a case with the page's token: to be saved, or to be shown as a picture. No token stands in an address.

async function fetched(url, token) {
  const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(told.message || `the server answered ${answer.status}`), { status: answer.status });
}

function named(answer) {
  const told = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") || "");
  return told ? told[1] : "export";
}

async function save(url, token) {
  const answer = await fetched(url, token);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = named(answer);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Buttons, one for each file.
export function downloads({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".files");
  const buttons = data.files.map((file) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = file.title;
    button.title = file.told;
    button.onclick = async () => {
      button.disabled = true;
      status.textContent = `${file.title} is being made…`;
      try {
        await save(file.url, data.token);
        status.textContent = "";
      } catch (error) {
        status.textContent = `${file.title}: ${error.message}`;
        if (error.status === 401) setTriggerValue("expired", Date.now());
      } finally {
        button.disabled = false;
      }
    };
    return button;
  });
  const status = document.createElement("p");
  status.setAttribute("role", "status");
  root.replaceChildren(...buttons, status);
}

// One picture, drawn as wide as there is room.
export function picture({ parentElement, data }) {
  const image = parentElement.querySelector("img");
  if (image.dataset.url === data.url) return;
  image.dataset.url = data.url;
  image.alt = data.told;
  fetched(data.url, data.token)
    .then(async (answer) => {
      image.src = URL.createObjectURL(await answer.blob());
    })
    .catch((error) => {
      image.alt = `${data.told}: ${error.message}`;
    });
}

// Tells the page of keys that Streamlit's buttons cannot have.
export function keys({ data, setTriggerValue }) {
  const listen = (event) => {
    const target = event.composedPath()[0];
    const typing = target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
    if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && data.keys.includes(event.key)) {
      setTriggerValue("pressed", { key: event.key, at: Date.now() });
    }
  };
  document.addEventListener("keydown", listen);
  return () => document.removeEventListener("keydown", listen);
}

// Asks from time to time whether there is something new, and tells the page only then.
export function ticker({ data, setTriggerValue }) {
  const ask = async () => {
    try {
      const told = await (await fetched(data.url, data.token)).json();
      if (told.state !== data.state) setTriggerValue("changed", told.state);
    } catch (error) {
      if (error.status === 401) setTriggerValue("changed", "");
    }
  };
  const timer = setInterval(ask, data.everyMs);
  return () => clearInterval(timer);
}

// Rings once, some time after the page was last drawn. Browsers count no further than some 24 days.
export function alarm({ parentElement, data, setTriggerValue }) {
  clearTimeout(parentElement.denselensAlarm);
  parentElement.denselensAlarm = setTimeout(() => setTriggerValue("rang", Date.now()), Math.min(data.afterMs, 2 ** 31 - 1));
  return () => clearTimeout(parentElement.denselensAlarm);
}
