// Bench around lgc_top. In bulk mode it streams features from a file at full rate and stores what
// comes out; otherwise cocotb drives the drive_* signals. cocotb compares and decides. With PINS_ONLY
// it looks at the pins only, for designs whose inner names are lost: netlists and bitstreams.
`timescale 1ns / 1ns
module stream_bench #(
  parameter FEATURES = 1,  // clocks in which what belongs to a result enters
  parameter FIRST = 1,     // the same of the first result
  parameter WIDTH = 8,
  parameter CLASS_WIDTH = 1,
  parameter RESULT_WIDTH = CLASS_WIDTH,
  parameter SCORE_BITS = 1,
  parameter SAMPLES = 1,
  parameter PATIENCE = 10000
);
  localparam TOTAL = FIRST + (SAMPLES - 1) * FEATURES;
  reg clk = 0, rst = 1, bulk = 0, drive_valid = 0, drive_ready = 0;
  reg [WIDTH-1:0] drive_code = 0;
  reg flash_miso = 0;
  wire flash_cs_n, flash_sck, flash_mosi;
  reg finished = 0, hung = 0;

  reg [WIDTH-1:0] codes [0:TOTAL-1];
  reg [RESULT_WIDTH-1:0] class_of [0:SAMPLES-1];
  reg [SCORE_BITS-1:0] scores_of [0:SAMPLES-1];
  reg [31:0] accepted_at [0:SAMPLES-1];
  reg [31:0] result_at [0:SAMPLES-1];
  integer sent = 0, position = 0, frames = 0, results = 0, scored = 0, cycle = 0, idle = 0;

  wire more = sent < TOTAL;
  wire last = position == (frames == 0 ? FIRST : FEATURES) - 1;
  wire valid = bulk ? more && !rst : drive_valid;
  wire [WIDTH-1:0] code = !bulk ? drive_code : more ? codes[sent] : {WIDTH{1'b0}};
  wire take = bulk | drive_ready;
  wire ready, result_valid;
  wire [RESULT_WIDTH-1:0] result;

`ifdef CORE  // of a design with an interface, what is behind it
  lgc_core dut (
    .restart(1'b0),
`else
  lgc_top dut (
`endif
`ifdef FLASH
    .flash_cs_n(flash_cs_n), .flash_sck(flash_sck), .flash_mosi(flash_mosi), .flash_miso(flash_miso),
`endif
    .clk(clk), .rst(rst),
    .features__payload(code), .features__valid(valid), .features__ready(ready),
    .result__payload(result), .result__valid(result_valid), .result__ready(take)
  );

`ifdef PINS_ONLY
  wire scores_valid = 0;
  wire [SCORE_BITS-1:0] scores = 0;
`else
  wire scores_valid = dut.scores_valid;
  wire [SCORE_BITS-1:0] scores = dut.scores;
`endif

  initial $readmemh("codes.hex", codes);
`ifndef VERILATOR  // there cocotb makes the clock, which needs no C++ coroutines
  always #5 clk = ~clk;
`endif

  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (bulk && !rst) begin
      idle <= result_valid ? 0 : idle + 1;
      if (idle > PATIENCE) begin
        hung <= 1;
        finished <= 1;
      end
      if (valid && ready) begin
        sent <= sent + 1;
        position <= last ? 0 : position + 1;
        if (last) begin
          accepted_at[frames] <= cycle;
          frames <= frames + 1;
        end
      end
      if (scores_valid && scored < SAMPLES) begin
        scores_of[scored] <= scores;
        scored <= scored + 1;
      end
      if (result_valid && results < SAMPLES) begin
        class_of[results] <= result;
        result_at[results] <= cycle;
        results <= results + 1;
        if (results == SAMPLES - 1) finished <= 1;
      end
    end
  end
endmodule
