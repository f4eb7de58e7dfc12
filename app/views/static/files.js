// Images in, one COCO file out. Files are sent one after the other, so that one bad or huge file
// costs nothing but itself, and the run starts while the others are still on their way.
// The event that Python listens to: 'uploaded'
const find = (name) => element.querySelector(`[data-testid="${name}"]`);
const input = find("upload-input");
const TOLD_EVERY = 2000; // milliseconds between two words to Python while files come in
const LISTED = 200; // refusals that are shown one by one

let waiting = []; // {name, file}
let sending = false;
let stopped = null; // an AbortController while files are sent
let count = { done: 0, total: 0 };
let refused = [];
let keys = []; // of the images that were taken
let first = null; // the one to open, until Python knows it
let told = 0;

function show() {
  const { export: address, images, samples } = props.about ?? {};
  element.closest("#canvas")?.toggleAttribute("data-no-samples", samples === 0);
  find("download-all").hidden = !address || !(images > 1);
  find("upload-progress").hidden = !sending;
  find("upload-bar").hidden = !sending;
  find("upload-bar").value = count.total ? count.done / count.total : 0;
  find("upload-text").textContent = `Uploading ${Math.min(count.done + 1, count.total)} of ${count.total}`;
  find("refused").hidden = refused.length === 0;
  const files = refused.length === 1 ? "1 file was not taken" : `${refused.length} files were not taken`;
  find("refused-title").textContent = files;
}

function refuse(sentence) {
  refused.push(sentence);
  if (refused.length > LISTED) return;
  const line = document.createElement("li");
  line.textContent = sentence;
  find("refused-list").append(line);
}

function forget() {
  refused = [];
  find("refused-list").replaceChildren();
}

async function send({ name, file }) {
  const limit = props.about?.image_bytes;
  if (limit && file.size > limit) {
    return refuse(`${name} is larger than ${Math.floor(limit / 1e6)} MB; make it smaller or cut it up.`);
  }
  const form = new FormData();
  form.append("files", file, name);
  let answer;
  try {
    answer = await fetch("/api/uploads", { method: "POST", body: form, signal: stopped.signal });
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    return refuse(`${name} could not be sent: it can't be read, or the Studio's server does not answer.`);
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) return refuse(`${name}: ${said.detail ?? `the server answered ${answer.status}.`}`);
  for (const one of said.refused) refuse(one.sentence);
  if (keys.length === 0) first = said.accepted[0]?.key ?? null;
  keys.push(...said.accepted.map((one) => one.key));
  return undefined;
}

function tell(force) {
  if (keys.length === 0 || (!force && performance.now() - told < TOLD_EVERY)) return;
  told = performance.now();
  props.value = { keys: [...keys], first };
  first = null;
  trigger("uploaded");
}

async function sendAll(files) {
  if (files.length === 0) return;
  if (!sending) {
    forget();
    count = { done: 0, total: 0 };
    keys = [];
    first = null;
    told = 0;
  }
  waiting.push(...files);
  count.total += files.length;
  if (sending) return show();
  sending = true;
  stopped = new AbortController();
  while (waiting.length > 0 && !stopped.signal.aborted) {
    show();
    await send(waiting.shift());
    count.done += 1;
    tell(false);
  }
  waiting = [];
  sending = false;
  tell(true);
  show();
}

const named = (file) => ({ name: file.webkitRelativePath || file.name, file });

// what was dropped: files, and folders with everything below
async function unpack(entries) {
  const found = [];
  for (const entry of entries) {
    if (entry.isFile) {
      const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
      if (file && !file.name.startsWith(".")) found.push({ name: entry.fullPath.replace(/^\//, ""), file });
    } else if (entry.isDirectory) {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
        if (some.length === 0) break;
        found.push(...(await unpack(some)));
      }
    }
  }
  return found;
}

input.addEventListener("change", () => {
  sendAll([...input.files].map(named));
  input.value = "";
});
find("upload-button").addEventListener("click", () => input.click());
find("upload-stop").addEventListener("click", () => stopped?.abort());
find("refused-close").addEventListener("click", () => {
  forget();
  show();
});
find("download-all").addEventListener("click", async () => {
  const url = new URL(props.about.export, document.baseURI);
  url.searchParams.set("min_score", (window.studio?.state().threshold ?? 0.05).toFixed(2));
  forget();
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok) {
    const said = await answer?.json().catch(() => null);
    find("refused-title").textContent = "Nothing was downloaded";
    refuse(said?.detail ?? "The Studio's server does not answer.");
    find("refused").hidden = false;
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = "instances.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  show();
});

const drop = find("drop");
const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
window.addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  drop.hidden = false;
});
window.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) drop.hidden = true;
});
window.addEventListener("drop", async (event) => {
  drop.hidden = true;
  if (!holdsFiles(event)) return;
  event.preventDefault();
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  sendAll(entries.length > 0 ? await unpack(entries) : [...event.dataTransfer.files].map(named));
});
watch("about", show);
show();
