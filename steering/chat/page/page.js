"use strict";

const at = (id) => document.getElementById(id);
const make = (tag, text, kind) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};

let state = null; // what the server tells of itself
let picture = null; // the number of the picture asked about
let round = 0; // answers of an earlier round come too late
let shownArm = null; // whose attention lies over the picture
const answers = new Map(); // run -> {told, past: strength -> answer}

function fault(words) {
  at("fault").textContent = words || "";
  at("fault").hidden = !words;
}

async function post(path, body, kind = "application/json") {
  const sent = kind === "application/json" ? JSON.stringify(body) : body;
  let reply;
  try {
    reply = await fetch(path, { method: "POST", headers: { "Content-Type": kind }, body: sent });
  } catch {
    throw new Error("The server does not answer. Is it still running in its terminal?");
  }
  const told = await reply.json();
  if (!reply.ok) throw new Error(told.error);
  return told;
}

// The picture

function forget() {
  round += 1;
  answers.clear();
  at("answers").replaceChildren();
  look(null);
}

function choose(id, questions) {
  picture = id;
  forget();
  fault("");
  at("frame").hidden = id === null;
  at("none").hidden = id !== null;
  if (id !== null) at("picture").src = `picture/${id}`;
  for (const thumb of at("pictures").children) thumb.setAttribute("aria-pressed", String(thumb.dataset.id === id));
  at("questions").replaceChildren(...questions.map((text) => {
    const suggestion = make("button", text);
    suggestion.type = "button";
    suggestion.addEventListener("click", () => { at("question").value = text; ask(); });
    return suggestion;
  }));
  if (questions.length) at("question").value = questions[0];
}

async function upload(file) {
  if (file.size > state.most_bytes) {
    const sizes = [file.size, state.most_bytes].map((bytes) => bytes.toLocaleString("en"));
    return fault(`${file.name}: ${sizes[0]} bytes; allowed up to ${sizes[1]}`);
  }
  try {
    const told = await post("api/upload", file, "application/octet-stream");
    choose(told.id, []);
  } catch (error) {
    fault(error.message);
  }
}

// Where an answer looked

function look(run) {
  shownArm = run;
  const told = run && answers.get(run)?.told;
  const seen = told && told.attention;
  at("look").hidden = !seen;
  at("overlay").hidden = true;
  for (const card of at("answers").children) card.classList.toggle("on", card.dataset.run === run && Boolean(seen));
  if (!seen) return;
  at("whose").textContent = armOf(run).arm;
  at("layer").max = seen.layers.length;
  const shares = seen.layers.map((row) => row.reduce((sum, weight) => sum + weight, 0));
  const most = Math.max(...shares, 1e-9);
  at("shares").replaceChildren(...shares.map((share) => {
    const bar = make("i");
    bar.style.height = `${(100 * share) / most}%`;
    return bar;
  }));
  draw(seen, shares);
}

function draw(seen, shares) {
  const layer = Number(at("layer").value), count = seen.layers.length;
  const rows = layer ? [seen.layers[layer - 1]] : seen.layers;
  const weights = seen.layers[0].map((_, cell) => rows.reduce((sum, row) => sum + row[cell], 0) / rows.length);
  const share = 100 * weights.reduce((sum, weight) => sum + weight, 0);
  const which = layer ? `Layer ${layer} of ${count}` : `All ${count} layers, mean`;
  const grid = seen.side ? "" : " This connector mixes the picture's cells: they have no place to be drawn at.";
  at("share").textContent = `${which}: ${share.toFixed(1)} % of the answer's attention is on the picture.${grid}`;
  at("layer").setAttribute("aria-valuetext", which);
  [...at("shares").children].forEach((bar, number) => bar.classList.toggle("on", !layer || number === layer - 1));
  at("overlay").hidden = !seen.side || !at("show").checked;
  if (seen.side) paint(weights, seen.side);
}

function paint(weights, side) {
  const canvas = at("overlay"), most = Math.max(...weights, 1e-12);
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d"), image = context.createImageData(side, side);
  weights.forEach((weight, cell) => {
    const part = weight / most; // dark and opaque where nothing is looked at, yellow and clear where most is
    image.data.set([12 + 243 * part, 16 + 180 * part, 40, 255 * (0.7 - 0.4 * part)], 4 * cell);
  });
  context.putImageData(image, 0, 0);
}

// Questions and answers

const armOf = (run) => state.arms.find((arm) => arm.run === run);
const chosen = () => [...at("arms").querySelectorAll(":checked")].map((box) => box.value);

function card(run) {
  const { told, past } = answers.get(run), box = make("article", undefined, "answer"), head = make("h2", armOf(run).arm);
  box.dataset.run = run;
  box.append(head);
  if (!told) {
    box.append(make("p", "…", "said"));
  } else if (told.error) {
    box.append(make("p", told.error, "said wrong"));
  } else {
    head.append(make("span", `strength ${told.strength.toFixed(2)}`));
    box.append(make("p", told.answer || "(nothing)", "said"));
    if (past.size > 1) box.append(history(past));
    if (told.attention) {
      const button = make("button", "Where it looked");
      button.type = "button";
      button.addEventListener("click", () => {
        look(run);
        at("frame").scrollIntoView({ block: "nearest", behavior: "smooth" });
      });
      box.append(button);
    }
  }
  return box;
}

function history(past) {
  const list = make("ol");
  for (const [strength, answer] of [...past].sort((one, other) => one[0] - other[0])) {
    const line = make("li");
    line.append(make("b", strength.toFixed(2)), make("span", answer || "(nothing)"));
    list.append(line);
  }
  return list;
}

function show() {
  at("answers").replaceChildren(...[...answers.keys()].map(card));
}

let asked = ""; // the question that the answers on show belong to

async function ask() {
  const question = at("question").value.trim(), runs = chosen(), strength = Number(at("strength").value);
  fault("");
  if (!question) return fault("Type a question.");
  if (!runs.length) return fault("Choose an arm.");
  if (question !== asked) answers.clear();
  asked = question;
  const mine = (round += 1), watched = [shownArm, state.run, runs[0]].find((run) => runs.includes(run));
  for (const run of [...answers.keys()]) if (!runs.includes(run)) answers.delete(run);
  for (const run of runs) answers.set(run, { told: null, past: answers.has(run) ? answers.get(run).past : new Map() });
  show();
  for (const run of runs) {
    let told;
    try {
      told = await post("api/ask", { run, question, strength, picture });
    } catch (error) {
      told = { error: error.message };
    }
    if (mine !== round) return;
    const entry = answers.get(run);
    entry.told = told;
    if (!told.error) entry.past.set(told.strength, told.answer);
    show();
    if (run === watched || run === shownArm) look(run);
    else if (shownArm) look(shownArm);
  }
}

function notes() {
  const told = chosen().map(armOf).filter((arm) => arm.note).map((arm) => `${arm.arm}: ${arm.note}`);
  at("notes").textContent = told.join("; ");
}

function arm(told) {
  const label = make("label"), box = make("input");
  box.type = "checkbox";
  box.value = told.run;
  box.checked = told.run === state.run;
  box.addEventListener("change", notes);
  label.title = told.method;
  label.append(box, told.arm);
  return label;
}

function thumb(told) {
  const button = make("button"), image = make("img");
  button.type = "button";
  button.dataset.id = told.id;
  button.title = `${told.name} (${told.benchmark})`;
  image.src = `picture/${told.id}`;
  image.alt = told.name;
  image.loading = "lazy";
  button.append(image);
  button.addEventListener("click", () => choose(told.id, told.questions));
  return button;
}

async function start() {
  try {
    state = await post("api/state", {});
  } catch (error) {
    return fault(error.message);
  }
  at("run").textContent = state.run;
  at("strength").max = state.most_strength;
  at("arms").replaceChildren(...state.arms.map(arm));
  at("pictures").replaceChildren(...state.pictures.map(thumb));
  notes();
  if (state.pictures.length) choose(state.pictures[0].id, state.pictures[0].questions);
  document.body.dataset.ready = "yes";
}

at("form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
at("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); ask(); }
});
at("strength").addEventListener("input", () => { at("number").textContent = Number(at("strength").value).toFixed(2); });
at("strength").addEventListener("change", () => { if (answers.size) ask(); });
at("file").addEventListener("change", () => { if (at("file").files[0]) upload(at("file").files[0]); at("file").value = ""; });
at("drop").addEventListener("click", () => choose(null, []));
at("layer").addEventListener("input", () => look(shownArm));
at("show").addEventListener("change", () => look(shownArm));
start();
