"use strict";

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function chartConfig() {
  const [ink, soft, line, grid] = ["--ink", "--soft", "--line", "--grid"].map(colour);
  const font = getComputedStyle(document.body).fontFamily;
  const axis = { domainColor: line, tickColor: line, gridColor: grid, labelColor: soft, titleColor: soft, titleFontWeight: "normal", labelFontSize: 12, titleFontSize: 12, titlePadding: 10 };
  return { font, background: "transparent", view: { stroke: null }, axis, legend: { labelColor: ink, labelFontSize: 12, symbolSize: 90, layout: { top: { direction: "vertical", anchor: "start" } } } };
}

async function drawCharts() {
  const holder = document.getElementById("charts");
  if (!holder) return;
  const charts = JSON.parse(holder.textContent);
  for (const place of document.querySelectorAll("[data-chart]")) {
    const narrow = place.clientWidth < 420;
    const text = JSON.stringify(charts[place.dataset.chart]);
    const chart = JSON.parse(narrow ? text.replaceAll('"columns":4', '"columns":3') : text);
    if (chart.facet) {  // whose parts, unlike other charts, do not grow to the width of their place
      chart.columns = narrow ? 2 : 4;
      chart.spec.width = chart.spec.height = Math.floor((place.clientWidth - 60) / chart.columns) - chart.spacing;
    }
    const options = { actions: false, renderer: "svg", ast: true, config: chartConfig(), tooltip: { theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light" } };
    if (narrow) options.config.axisY = { labelLimit: 96, labelFontSize: 11 };
    try {
      await vegaEmbed(place, chart, options);
    } catch (fault) {
      place.textContent = "This chart could not be drawn: " + fault.message;
    }
  }
}

function showQuestions() {
  const cards = [...document.querySelectorAll("#questions .card")];
  const select = document.getElementById("benchmark");
  const buttons = [...document.querySelectorAll("#questions [data-filter]")];
  if (!cards.length) return;
  const update = () => {
    const tag = buttons.find((button) => button.getAttribute("aria-pressed") === "true").dataset.filter;
    for (const card of cards) {
      const here = !select.value || card.dataset.benchmark === select.value;
      card.hidden = !(here && card.dataset.tags.split(" ").includes(tag));
    }
    const shown = cards.filter((card) => !card.hidden).length;
    document.getElementById("shown").textContent = shown + " of " + cards.length + " shown";
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      update();
    });
  }
  select.addEventListener("change", update);
  update();
}

showQuestions();
drawCharts();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
