"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const config = read("figure-config");
  // Long names would leave no room for the figure on a phone.
  if (document.documentElement.clientWidth < 600) config.axis.labelLimit = 120;
  const options = {
    mode: "vega-lite", renderer: "svg", actions: false, config,
    // Expressions are interpreted, because the page forbids code that is made from text.
    ast: true,
    tooltip: { theme: "light" },
  };
  const { specs, datasets } = read("figures");
  const drawn = Object.entries(specs).map(([id, spec]) => {
    spec.datasets = datasets;
    const place = document.getElementById(id);
    return vegaEmbed(place, spec, options).catch((error) => {
      place.textContent = `This figure could not be drawn: ${error.message}`;
    });
  });
  Promise.all(drawn).then(() => document.documentElement.setAttribute("data-drawn", "yes"));
})();
