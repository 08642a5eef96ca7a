// The part of the TensorFlow Lite C interface that the probe touches.
//
// Declared here so that the probe builds without the runtime's sources. Field order and types
// are those of `TfLiteContext` and the structs it refers to in tflite/core/c/common.h of
// github.com/google-ai-edge/LiteRT (Apache-2.0), before that tensorflow/lite/core/c/common.h.
// They are the same from ai-edge-litert 1.0 to 2.3 and in TensorFlow 2.16 to 2.21; on what else
// the library is loaded into, `CheckContext` decides at run time.
//
// What is never read is declared as void*, to keep the offsets of what follows.

#ifndef EXRAY_TFLITE_ABI_H_
#define EXRAY_TFLITE_ABI_H_

#include <cstddef>
#include <cstdint>

extern "C" {

enum TfLiteStatus : int { kTfLiteOk = 0, kTfLiteError = 1 };

struct TfLiteIntArray {
  int size;
  int data[];
};

struct TfLiteFloatArray {
  int size;
  float data[];
};

// Value of `TfLiteQuantization::type` for per-tensor and per-channel parameters.
constexpr int kTfLiteAffineQuantization = 1;

struct TfLiteAffineQuantization {
  TfLiteFloatArray* scale;
  TfLiteIntArray* zero_point;
  int32_t quantized_dimension;
};

struct TfLiteQuantization {
  int type;
  void* params;
};

struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};

struct TfLiteTensor {
  int type;
  void* data;
  TfLiteIntArray* dims;
  TfLiteQuantizationParams params;
  int allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  void* delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  TfLiteQuantization quantization;
  void* sparsity;
  const TfLiteIntArray* dims_signature;
};

struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  TfLiteIntArray* temporaries;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
  void* delegate;
  bool might_have_side_effect;
};

struct TfLiteContext;

using TfLiteInvoke = TfLiteStatus (*)(TfLiteContext*, TfLiteNode*);

struct TfLiteRegistration {
  void* init;
  void* free;
  void* prepare;
  TfLiteInvoke invoke;
  void* profiling_string;
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* registration_external;
};

struct TfLiteDelegate;

// What a node that stands for a delegate's partition keeps in `TfLiteNode::builtin_data`.
struct TfLiteDelegateParams {
  TfLiteDelegate* delegate;
  TfLiteIntArray* nodes_to_replace;
  TfLiteIntArray* input_tensors;
  TfLiteIntArray* output_tensors;
};

struct TfLiteContext {
  size_t tensors_size;
  TfLiteStatus (*GetExecutionPlan)(TfLiteContext*, TfLiteIntArray**);
  TfLiteTensor* tensors;
  void* impl;
  void* ResizeTensor;
  void* ReportError;
  void* AddTensors;
  TfLiteStatus (*GetNodeAndRegistration)(TfLiteContext*, int, TfLiteNode**, TfLiteRegistration**);
  void* ReplaceNodeSubsetsWithDelegateKernels;
  int recommended_num_threads;
  void* GetExternalContext;
  void* SetExternalContext;
  bool allow_fp32_relax_to_fp16;
  void* profiler;
  void* AllocatePersistentBuffer;
  void* AllocateBufferForEval;
  void* RequestScratchBufferInArena;
  void* GetScratchBuffer;
  void* ResizeTensorExplicit;
  void* PreviewDelegatePartitioning;
  void* GetTensor;
  void* GetEvalTensor;
  void* GetModelMetadata;
  TfLiteStatus (*AcquireSubgraphContext)(TfLiteContext*, int, TfLiteContext**);
  TfLiteStatus (*ReleaseSubgraphContext)(TfLiteContext*, int);
};

// A graph that has tensors of run-time size may be modified, and stays modifiable.
constexpr int64_t kTfLiteDelegateFlagsAllowDynamicTensors = 1;

struct TfLiteDelegate {
  void* data;
  TfLiteStatus (*Prepare)(TfLiteContext*, TfLiteDelegate*);
  void* CopyFromBufferHandle;
  void* CopyToBufferHandle;
  void* FreeBufferHandle;
  int64_t flags;
  void* opaque_delegate_builder;
};

}  // extern "C"

#endif  // EXRAY_TFLITE_ABI_H_
