// Block RAM of ECP5, whose model Yosys ships empty: the modes that lgc's designs use. What the vendor does
// not promise is x: what is read while it is written, and what a port shows that writes.
`timescale 1ns / 1ps
module DP16KD (
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3,
    DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA,
  input CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
    DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3,
    DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB,
  input CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
    DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG", RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "ENABLED";
  parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0;
  parameter [319:0] INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0;
  parameter [319:0] INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0;
  parameter [319:0] INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0;
  parameter [319:0] INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0;
  parameter [319:0] INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0;
  parameter [319:0] INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0;
  parameter [319:0] INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0;
  parameter [319:0] INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0;
  parameter [319:0] INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0;
  parameter [319:0] INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0;
  parameter [319:0] INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0;
  parameter [319:0] INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0;
  parameter [319:0] INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0;
  parameter [319:0] INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0;
  parameter [319:0] INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

  // 2,048 bytes with parity; words of less than a byte leave out the ninth bit
  reg bits [0:18431];
  reg [35:0] shown_a, shown_b;
  integer k, k_a, k_b, at_a, at_b;

  // 16 words of 20 bits, of which 18 are there
  task load(input integer row, input [319:0] words);
    for (k = 0; k < 288; k = k + 1) bits[288 * row + k] = words[k / 18 * 20 + k % 18];
  endtask
  initial begin
    load(0, INITVAL_00); load(1, INITVAL_01); load(2, INITVAL_02); load(3, INITVAL_03);
    load(4, INITVAL_04); load(5, INITVAL_05); load(6, INITVAL_06); load(7, INITVAL_07);
    load(8, INITVAL_08); load(9, INITVAL_09); load(10, INITVAL_0A); load(11, INITVAL_0B);
    load(12, INITVAL_0C); load(13, INITVAL_0D); load(14, INITVAL_0E); load(15, INITVAL_0F);
    load(16, INITVAL_10); load(17, INITVAL_11); load(18, INITVAL_12); load(19, INITVAL_13);
    load(20, INITVAL_14); load(21, INITVAL_15); load(22, INITVAL_16); load(23, INITVAL_17);
    load(24, INITVAL_18); load(25, INITVAL_19); load(26, INITVAL_1A); load(27, INITVAL_1B);
    load(28, INITVAL_1C); load(29, INITVAL_1D); load(30, INITVAL_1E); load(31, INITVAL_1F);
    load(32, INITVAL_20); load(33, INITVAL_21); load(34, INITVAL_22); load(35, INITVAL_23);
    load(36, INITVAL_24); load(37, INITVAL_25); load(38, INITVAL_26); load(39, INITVAL_27);
    load(40, INITVAL_28); load(41, INITVAL_29); load(42, INITVAL_2A); load(43, INITVAL_2B);
    load(44, INITVAL_2C); load(45, INITVAL_2D); load(46, INITVAL_2E); load(47, INITVAL_2F);
    load(48, INITVAL_30); load(49, INITVAL_31); load(50, INITVAL_32); load(51, INITVAL_33);
    load(52, INITVAL_34); load(53, INITVAL_35); load(54, INITVAL_36); load(55, INITVAL_37);
    load(56, INITVAL_38); load(57, INITVAL_39); load(58, INITVAL_3A); load(59, INITVAL_3B);
    load(60, INITVAL_3C); load(61, INITVAL_3D); load(62, INITVAL_3E); load(63, INITVAL_3F);
    if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB"
        || CSDECODE_A != "0b000" || CSDECODE_B != "0b000") begin
      $display("DP16KD has a mode that its model does not know.");
      $finish;
    end
  end

  wire wide = DATA_WIDTH_A == 36;
  wire [13:0] address_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2,
    ADA1, ADA0};
  wire [35:0] data_a = {{DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6,
    DIB5, DIB4, DIB3, DIB2, DIB1, DIB0}, {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
    DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0}};
  wire on_a = CEA === 1'b1 && {CSA2, CSA1, CSA0} === 3'b000;
  wire write_a = on_a && (wide || WEA === 1'b1);
  wire [13:0] address_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2,
    ADB1, ADB0};
  wire [35:0] data_b = {{DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6,
    DIB5, DIB4, DIB3, DIB2, DIB1, DIB0}, {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
    DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0}};
  wire on_b = CEB === 1'b1 && {CSB2, CSB1, CSB0} === 3'b000;
  wire write_b = on_b && !wide && WEB === 1'b1;

  // the place of a bit of a word
  function integer place(input integer width, input [13:0] address, input integer bit_);
    integer at;
    begin
      case (width)
        1: at = address;
        2: at = address[13:1] * 2;
        4: at = address[13:2] * 4;
        9: at = address[13:3] * 9;
        18: at = address[13:4] * 18;
        default: at = address[13:5] * 36;
      endcase
      at = at + bit_;
      place = width < 9 ? at / 8 * 9 + at % 8 : at;
    end
  endfunction

  // whether a word that is written has a bit at a place
  function meets(input integer width, input [13:0] address, input integer at);
    integer first;
    begin
      first = place(width, address, 0);
      meets = at >= first && at < first + width && (width <= 9 || address[(at - first) / 9] !== 1'b0);
    end
  endfunction

  always @(posedge CLKA) begin
    if (on_a && !write_a)
      for (k_a = 0; k_a < DATA_WIDTH_A; k_a = k_a + 1) begin
        at_a = place(DATA_WIDTH_A, address_a, k_a);
        shown_a[k_a] <= write_b && meets(DATA_WIDTH_B, address_b, at_a) ? 1'bx : bits[at_a];
      end
    if (write_a) begin
      shown_a <= 36'bx;
      for (k_a = 0; k_a < DATA_WIDTH_A; k_a = k_a + 1)
        if (DATA_WIDTH_A <= 9 || address_a[k_a / 9] !== 1'b0)
          bits[place(DATA_WIDTH_A, address_a, k_a)] <= data_a[k_a];
    end
  end
  always @(posedge CLKB) begin
    if (on_b && !write_b)
      for (k_b = 0; k_b < DATA_WIDTH_B; k_b = k_b + 1) begin
        at_b = place(DATA_WIDTH_B, address_b, k_b);
        shown_b[k_b] <= write_a && meets(DATA_WIDTH_A, address_a, at_b) ? 1'bx : bits[at_b];
      end
    if (write_b) begin
      shown_b <= 36'bx;
      for (k_b = 0; k_b < DATA_WIDTH_B; k_b = k_b + 1)
        if (DATA_WIDTH_B <= 9 || address_b[k_b / 9] !== 1'b0)
          bits[place(DATA_WIDTH_B, address_b, k_b)] <= data_b[k_b];
    end
  end
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
    DOA3, DOA2, DOA1, DOA0} = DATA_WIDTH_B == 36 ? shown_b[17:0] : shown_a[17:0];
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
    DOB3, DOB2, DOB1, DOB0} = DATA_WIDTH_B == 36 ? shown_b[35:18] : shown_b[17:0];
endmodule
