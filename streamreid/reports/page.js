const charts = JSON.parse(document.getElementById("charts").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
function draw() {
  const style = getComputedStyle(document.documentElement), value = name => style.getPropertyValue(name).trim();
  const axis = {gridcolor: value("--line"), zerolinecolor: value("--line"), linecolor: value("--line"), automargin: true, fixedrange: true};
  for (const chart of charts) {
    const data = chart.traces.map(trace => {
      const {colour, dash, ...rest} = trace, hue = value("--c" + (colour ?? 0) % 6);
      if (rest.type === "heatmap") return {...rest, colorscale: [[0, value("--card")], [1, value("--heat")]], textfont: {color: value("--ink")}};
      return {...rest, marker: {color: hue}, line: {color: hue, dash: dash}, error_y: rest.error_y && {...rest.error_y, color: value("--ink"), thickness: 1.5}};
    });
    const layout = {paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {color: value("--ink"), family: "system-ui, sans-serif", size: 13},
      margin: {l: 48, r: 12, t: 8, b: 48}, barmode: "group", dragmode: false, hovermode: "closest", showlegend: data.length > 1,
      legend: {orientation: "h", y: 1.02, yanchor: "bottom", x: 0}, hoverlabel: {bgcolor: value("--card"), font: {color: value("--ink")}},
      ...chart.layout, xaxis: {type: "category", nticks: 8, ...axis, ...chart.layout.xaxis}, yaxis: {...axis, ...chart.layout.yaxis}};
    Plotly.react(chart.key, data, layout, {responsive: true, displayModeBar: false, displaylogo: false, scrollZoom: false});
  }
}
draw();
dark.addEventListener("change", draw);
